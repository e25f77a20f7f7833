cimport cython
cimport pystack_c.const as C
from cpython.object cimport PyObject
from libc.stdint cimport int64_t
from pystack_c.base.address cimport key
from pystack.sockets.dgram cimport Datagrams
from pystack.sockets.handles cimport Description, Handle, error, in_loop
from pystack.sockets.stream cimport Stream
from pystack_c.sockets.record cimport Datagram

cdef extern from "Python.h":
    PyObject* PyEval_GetGlobals()

# The global names of the Python function that made the call. Compiled functions have no frame of their own.
cdef inline dict caller_globals():
    cdef PyObject* found = PyEval_GetGlobals()
    return <dict>found if found is not NULL else {}

cdef tuple _TO_PROCESSES

@cython.locals(view=object)
cpdef bytes immutable(data)
@cython.locals(view=object)
cpdef bytes_view(data)
@cython.locals(view=object)
cdef _writable(buffer, nbytes, what)
@cython.locals(host=object, port=object, addr=object)
cdef tuple _sockaddr(Description description, address)

cdef class SocketBase:
    cdef public Handle _handle
    cdef public object _timeout
    cdef public object _family
    cdef public object _type
    cdef public object _proto
    @cython.locals(handle=Handle)
    cpdef Description _open_description(self)
    @cython.locals(description=Description)
    cdef Stream _stream(self)
    @cython.locals(handle=Handle, space=dict, name=object, text=object)
    cpdef fileno(self)
    cpdef _set_timeout(self, value)
    @cython.locals(description=Description, stream=Stream, datagrams=Datagrams)
    cdef bytes _recv(self, int64_t n, int flags)
    @cython.locals(description=Description, stream=Stream, datagrams=Datagrams, got=Datagram, data=bytes)
    cdef _recvfrom(self, int64_t n, int flags)
    @cython.locals(description=Description, stream=Stream, datagrams=Datagrams)
    cdef int64_t _send(self, data, int flags) except -1
    @cython.locals(description=Description, stream=Stream, datagrams=Datagrams)
    cdef _sendall(self, data, int flags)
    @cython.locals(description=Description, stream=Stream, datagrams=Datagrams, addr=object, port=object)
    cdef int64_t _sendto(self, bytes data, int flags, address) except -1
