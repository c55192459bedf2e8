# Between steps, every solve looks at the time it is allowed and at whether it is to stop, and gives other Python
# threads a turn. The thread inside Julia holds Python's lock: nothing else would run, Ctrl-C's handler included.

# Nanoseconds between two looks.
const PAUSE = 50_000_000

"Addresses in Python: two functions of its C interface, and two numbers, of the job at work and of the job to stop."
struct Python
    save::Ptr{Cvoid}       # PyEval_SaveThread
    restore::Ptr{Cvoid}    # PyEval_RestoreThread
    jobs::Ptr{Int64}
end

const PYTHON = Ref(Python(C_NULL, C_NULL, C_NULL))

"Sets what calls of this process are to use; addresses as numbers. Without, there is no Python to give turns to."
function python!(save, restore, jobs)
    PYTHON[] = Python(Ptr{Cvoid}(UInt(save)), Ptr{Cvoid}(UInt(restore)), Ptr{Int64}(UInt(jobs)))
    return nothing
end

"Gives other Python threads a turn, and sleeps for `seconds` of it."
function turn(p::Python, seconds = 0.0)
    # What the others drop may belong to Julia, so one of them may come to collect garbage. It must not wait for this
    # thread, which waits for the lock that the other one holds: garbage can be collected as long as this one is away.
    thread = ccall(:jl_get_ptls_states, Ptr{Cvoid}, ())
    state = ccall(:jl_gc_safe_enter, Int8, (Ptr{Cvoid},), thread)
    held = p.save == C_NULL ? C_NULL : ccall(p.save, Ptr{Cvoid}, ())
    seconds > 0 && Libc.systemsleep(seconds)
    p.save == C_NULL || ccall(p.restore, Cvoid, (Ptr{Cvoid},), held)
    ccall(:jl_gc_safe_leave, Cvoid, (Ptr{Cvoid}, Int8), thread, state)
    return nothing
end

"Is the job at work the one to stop?"
unwanted(p::Python) = p.jobs != C_NULL && unsafe_load(p.jobs, 1) == unsafe_load(p.jobs, 2)

"Until when a call may work, the task that was called, which alone may ask Python, and whether all are to stop."
struct Clock
    deadline::UInt64
    caller::Task
    stopped::Threads.Atomic{Bool}
end

Clock(seconds = Inf) =
    Clock(seconds < 1e9 ? time_ns() + round(UInt64, 1e9seconds) : typemax(UInt64), current_task(), Threads.Atomic{Bool}(false))

next_look(c::Clock) = min(time_ns() + PAUSE, c.deadline)

"Gives others a turn, and notes whether they want the call to end."
function listen(c::Clock, seconds = 0.0)
    if c.caller === current_task()
        turn(PYTHON[], seconds)
        unwanted(PYTHON[]) && (c.stopped[] = true)
    end
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
