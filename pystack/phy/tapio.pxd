cimport cython
cimport pystack_c.const as C
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.exc cimport PyErr_SetFromErrno
from cpython.object cimport PyObject
from cpython.ref cimport Py_DECREF, Py_INCREF
from libc.errno cimport EAGAIN, EINTR, errno as c_errno
from libc.stdint cimport int64_t, uint16_t
from libc.string cimport memcpy, memset
from pystack_c.packet cimport Transmit

cdef extern from "Python.h":
    int _PyBytes_Resize(PyObject** p, Py_ssize_t n) except -1

cdef extern from "sys/uio.h":
    struct iovec:
        void* iov_base
        size_t iov_len
    Py_ssize_t writev(int fd, const iovec* parts, int count)

cdef extern from "unistd.h":
    Py_ssize_t read(int fd, void* data, size_t size)
    Py_ssize_t write(int fd, const void* data, size_t size)

cdef extern from *:
    """
    #include <stdlib.h>
    #ifdef __GLIBC__
    #include <malloc.h>
    static void keep_heap(void) {
        mallopt(M_MMAP_THRESHOLD, 4 << 20);
        mallopt(M_TRIM_THRESHOLD, 32 << 20);
    }
    #else
    static void keep_heap(void) {}
    #endif
    """
    void keep_heap()

cdef Py_ssize_t _LOW, _HIGH

cpdef keep_memory()

cdef enum:
    # Most frames are this small. They get an object of their own size, and are written in one piece.
    SMALL = 2048

@cython.final
cdef class FrameIO:
    cdef public int fd
    cdef public Py_ssize_t size
    cdef public bint vnet
    cdef bytes spare
    cdef public Py_ssize_t offset
    cdef public int flags
    cdef public int gso_size
    cdef public int64_t short
    @cython.locals(frame=bytes)
    cpdef bytes recv(self)
    @cython.locals(gso_type=int, parts=list)
    cpdef int send(self, Transmit tx) except -1

# Return one frame, or None. It is read into a spare object, which
# a long frame keeps; a small frame gets an object of its own.
cdef inline bytes read_frame(FrameIO io):
    cdef Py_ssize_t n
    cdef PyObject* p
    if io.spare is None:
        io.spare = PyBytes_FromStringAndSize(NULL, io.size)
    n = read(io.fd, PyBytes_AS_STRING(io.spare), len(io.spare))
    while n < 0 and c_errno == EINTR:
        n = read(io.fd, PyBytes_AS_STRING(io.spare), len(io.spare))
    if n < 0:
        if c_errno == EAGAIN:
            return None
        PyErr_SetFromErrno(OSError)
    if n <= SMALL:
        return PyBytes_FromStringAndSize(PyBytes_AS_STRING(io.spare), n)
    # Cut the object to the frame's length. For that, this must be its only reference.
    p = <PyObject*>io.spare
    Py_INCREF(<object>p)
    io.spare = None
    _PyBytes_Resize(&p, n)
    frame = <bytes>p
    Py_DECREF(frame)
    return frame

# Write the virtio-net header. The kernel completes the checksum, and segments the frame if necessary.
cdef inline void write_vnet(unsigned char* vnet, Transmit tx, int gso_type) noexcept:
    cdef uint16_t words[4]
    memset(vnet, 0, 10)
    if tx.csum_start > 0:
        vnet[0] = 1  # VIRTIO_NET_HDR_F_NEEDS_CSUM
        vnet[1] = <unsigned char>gso_type
        words[0] = <uint16_t>tx.hdr_len
        words[1] = <uint16_t>tx.gso_size
        words[2] = <uint16_t>tx.csum_start
        words[3] = <uint16_t>tx.csum_offset
        memcpy(vnet + 2, words, 8)

# Write one frame. A small frame is joined here, because write(2) is faster than writev(2) by more than the copy takes.
cdef inline int write_frame(FrameIO io, Transmit tx, int gso_type) except -1:
    cdef unsigned char whole[SMALL]
    cdef iovec parts[3]
    cdef Py_buffer view
    cdef int count = 0
    cdef Py_ssize_t used = 0
    cdef Py_ssize_t n
    cdef bint viewed = tx.payload is not None
    cdef int code = 0
    if io.vnet:
        write_vnet(whole, tx, gso_type)
        used = 10
    if viewed:
        PyObject_GetBuffer(tx.payload, &view, PyBUF_SIMPLE)
    else:
        view.len = 0
    if used + len(tx.header) + view.len <= SMALL:
        memcpy(whole + used, PyBytes_AS_STRING(tx.header), len(tx.header))
        used += len(tx.header)
        if view.len > 0:
            memcpy(whole + used, view.buf, view.len)
            used += view.len
        n = write(io.fd, whole, used)
        while n < 0 and c_errno == EINTR:
            n = write(io.fd, whole, used)
    else:
        if used > 0:
            parts[0].iov_base = whole
            parts[0].iov_len = used
            count = 1
        parts[count].iov_base = PyBytes_AS_STRING(tx.header)
        parts[count].iov_len = len(tx.header)
        count += 1
        if view.len > 0:
            parts[count].iov_base = view.buf
            parts[count].iov_len = view.len
            count += 1
        n = writev(io.fd, parts, count)
        while n < 0 and c_errno == EINTR:
            n = writev(io.fd, parts, count)
    if n < 0:
        code = c_errno
    if viewed:
        PyBuffer_Release(&view)
    return code

cdef bytes _vnet_header(Transmit tx, int gso_type)
