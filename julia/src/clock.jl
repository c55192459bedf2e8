# Between steps, every solve looks at the time it is allowed, and lets Python handle its signals: a thread
# inside Julia holds Python's lock, so that nothing else would, Ctrl-C included, until the call returns.

# Nanoseconds between two looks.
const PAUSE = 50_000_000

"Addresses of functions of Python's C interface, and of three words for an exception that a signal raised."
struct Python
    save::Ptr{Cvoid}       # PyEval_SaveThread
    restore::Ptr{Cvoid}    # PyEval_RestoreThread
    check::Ptr{Cvoid}      # PyErr_CheckSignals
    fetch::Ptr{Cvoid}      # PyErr_Fetch
    raised::Ptr{Cvoid}
end

const PYTHON = Ref(Python(C_NULL, C_NULL, C_NULL, C_NULL, C_NULL))

"Sets the functions of Python that calls of the same process are to use; addresses as numbers."
python!(addresses...) = (PYTHON[] = Python((Ptr{Cvoid}(UInt(a)) for a in addresses)...); nothing)

"""
What Python calls, from outside, to say that this thread runs no Julia code between calls: the address of
`jl_gc_safe_enter`, and its argument. While the thread is in Python, no other could collect garbage without.
"""
resting() = UInt(cglobal(:jl_gc_safe_enter)), UInt(ccall(:jl_get_ptls_states, Ptr{Cvoid}, ()))

"Gives other Python threads their turn and Python's signals theirs; true where one of these raised an exception."
function signalled(p::Python)
    p.check == C_NULL && return false
    # Another Python thread may call Julia meanwhile, and must be able to collect garbage.
    thread = ccall(:jl_get_ptls_states, Ptr{Cvoid}, ())
    state = ccall(:jl_gc_safe_enter, Int8, (Ptr{Cvoid},), thread)
    ccall(p.restore, Cvoid, (Ptr{Cvoid},), ccall(p.save, Ptr{Cvoid}, ()))
    raised = ccall(p.check, Cint, ()) != 0
    # Julia must not go on with an exception set: it is put aside, for Python to raise when the call is over.
    raised && ccall(p.fetch, Cvoid, (Ptr{Cvoid}, Ptr{Cvoid}, Ptr{Cvoid}), p.raised, p.raised + sizeof(Ptr), p.raised + 2sizeof(Ptr))
    ccall(:jl_gc_safe_leave, Cvoid, (Ptr{Cvoid}, Int8), thread, state)
    return raised
end

"Until when a call may work, the task that was called, which alone may ask Python, and whether all are to stop."
struct Clock
    deadline::UInt64
    caller::Task
    stopped::Threads.Atomic{Bool}
end

Clock(seconds = Inf) =
    Clock(seconds < 1e9 ? time_ns() + round(UInt64, 1e9seconds) : typemax(UInt64), current_task(), Threads.Atomic{Bool}(false))

next_look(c::Clock) = min(time_ns() + PAUSE, c.deadline)

"Notes whether a signal wants the call to end."
function listen(c::Clock)
    c.caller === current_task() && signalled(PYTHON[]) && (c.stopped[] = true)
    return nothing
end

"""
Throws a `Failure` where the call was interrupted, or its time is over. Looks when it is time to, `at`, and returns
when it is next.
"""
@inline function look(c::Clock, at)
    c.stopped[] || time_ns() >= at || return at
    return look(c)
end

@noinline function look(c::Clock)
    listen(c)
    c.stopped[] && throw(Failure(:Interrupted))
    time_ns() >= c.deadline && throw(Failure(:TimeLimit))
    return next_look(c)
end
