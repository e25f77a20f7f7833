cimport cython
from libc.stdint cimport int64_t, uint32_t, uint64_t
from pystack_c.filter.nft.exprs cimport Expr
from pystack_c.filter.nft.view cimport View

cdef uint64_t _M64, _SPREAD

@cython.final
cdef class Element:
    cdef public object key
    cdef public object last
    cdef public object data
    cdef public int64_t timeout
    cdef public int64_t expires
    cdef public list statements
    cdef public object comment
    cdef public int64_t number
    cdef public int64_t last_number

@cython.final
cdef class NftSet:
    cdef public str name
    cdef public bint interval
    cdef public Py_ssize_t fields
    cdef public int64_t timeout
    cdef public int64_t size
    cdef public dict elements
    cdef public list starts
    cdef public bint narrow
    cdef public bytes packed
    cdef public tuple sizes
    cdef public bint changing
    cdef public bint varies
    cdef public list slots
    cdef public int shift
    cdef public list sorted
    cdef public list bounds
    cdef public list masks
    cdef public bint fresh
    cdef public list heap
    cdef public int64_t armed
    @cython.locals(found=Element)
    cpdef Element find(self, object key, int64_t now)
    cpdef bint picks(self) except -1
    @cython.locals(at=Py_ssize_t, found=Element)
    cpdef Element pick(self, int64_t number, int64_t now)
    @cython.locals(bits=int, element=Element, at=Py_ssize_t)
    cdef _index(self)
    @cython.locals(number=int64_t, part=int64_t, size=int)
    cdef int64_t _number_of(self, object key) except -1
    @cython.locals(at=Py_ssize_t, found=Element)
    cdef Element _among(self, object key)
    @cython.locals(p="const unsigned char*", low=Py_ssize_t, high=Py_ssize_t, middle=Py_ssize_t, at=Py_ssize_t, number=uint32_t)
    cdef Py_ssize_t _search(self, uint64_t key) noexcept
    @cython.locals(mask=object, i=Py_ssize_t, part=object, at=Py_ssize_t)
    cdef Element _crossing(self, tuple key)
    @cython.locals(element=Element)
    cpdef arrange(self)
    @cython.locals(points=list, low=object, high=object, element=Element, masks=list, i=Py_ssize_t, at=Py_ssize_t, first=Py_ssize_t, last=Py_ssize_t, order=list)
    cdef _arrange_crossing(self)
    cpdef put(self, Element element)
    cpdef remove(self, object key)
    @cython.locals(element=Element)
    cpdef arm(self, Element element, int64_t now)
    cdef bint _lives(self, Element element) except -1
    @cython.locals(due=int64_t, element=Element, item=tuple)
    cpdef expire(self, int64_t now)
    @cython.locals(element=Element)
    cpdef Element obtain(self, object key, int64_t now)
    cpdef list all(self, int64_t now)

@cython.final
cdef class MapLookup(Expr):
    cdef public Expr key
    cdef public NftSet table

cpdef object _first(Element element)
