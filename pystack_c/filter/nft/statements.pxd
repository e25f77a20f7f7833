cimport cython
from libc.stdint cimport int64_t, uint32_t
cimport pystack_c.const as C
from pystack_c.filter.nft.exprs cimport Expr
from pystack_c.filter.nft.sets cimport Element, NftSet
from pystack_c.filter.nft.view cimport View

cdef class Statement:
    cpdef int run(self, View view) except -100
    cpdef Statement clone(self)
    cpdef bint steady(self) except -1

@cython.final
cdef class Step:
    cdef public Statement statement
    cdef public Step following

@cython.locals(first=Step, item=object)
cpdef Step steps(list statements)

cdef class Comparison(Statement):
    cdef public Expr left
    cdef public int op
    cdef public object right
    cdef public bint plain
    cdef public int64_t limit
    @cython.locals(found=object, right=object, holds=bint, other=Expr, op=int, number=int64_t)
    cpdef int run(self, View view) except -100

cdef bint _same(Expr key, NftSet table) except -1
cdef bint _holds(int op, int64_t number, int64_t limit) noexcept

cdef class Between(Statement):
    cdef public Expr left
    cdef public object low
    cdef public object high
    cdef public bint inverted
    @cython.locals(found=object)
    cpdef int run(self, View view) except -100

cdef class SetLookup(Statement):
    cdef public Expr key
    cdef public NftSet table
    cdef public bint inverted
    cdef public bint plain
    @cython.locals(key=object, found=Element, number=int64_t)
    cpdef int run(self, View view) except -100

@cython.final
cdef class VerdictStatement(Statement):
    cdef public int code
    cdef public object target

cdef class VerdictMap(Statement):
    cdef public Expr key
    cdef public NftSet table
    cdef public bint plain
    @cython.locals(key=object, found=Element, verdict=VerdictStatement, number=int64_t)
    cpdef int run(self, View view) except -100

cdef class ObjectMap(Statement):
    cdef public Expr key
    cdef public NftSet table
    @cython.locals(key=object, found=Element, statement=Statement)
    cpdef int run(self, View view) except -100

@cython.final
cdef class Counter(Statement):
    cdef public int64_t packets
    cdef public int64_t octets

cdef class Limit(Statement):
    cdef public int64_t rate
    cdef public int64_t per
    cdef public int64_t burst
    cdef public bint of_bytes
    cdef public bint over
    cdef public int64_t most
    cdef public int64_t tokens
    cdef public int64_t last
    @cython.locals(cost=int64_t, tokens=int64_t, now=int64_t)
    cpdef int run(self, View view) except -100

@cython.final
cdef class Quota(Statement):
    cdef public int64_t octets
    cdef public int64_t used
    cdef public bint over

cdef class SetUpdate(Statement):
    cdef public NftSet table
    cdef public Expr key
    cdef public Expr data
    cdef public int op
    cdef public int64_t timeout
    cdef public list templates
    @cython.locals(key=object, element=Element, fresh=bint, now=int64_t)
    cpdef int run(self, View view) except -100

@cython.locals(item=object, statement=Statement, code=int)
cdef int _each(list statements, View view) except -100
