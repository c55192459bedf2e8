# Lanes on their way through steps of implicit Euler, intervals and members: what becomes of a correction that was computed
# (`implicit_euler.jl`).

"Solves members of the batch that `take()` numbers, until it gives none; `finish(member, lane, code)` hears of each."
function solve_members!(e::EulerStepper{T}, batch::Batch, take::G, finish::H) where {T,G,H}
    w = e.work
    running = 0
    for l in eachindex(e.lanes)
        running += begin_member!(e, batch, l, take())
    end
    running == 0 && return nothing
    # Lanes without a member compute as the first one does, and are not looked at.
    for l in eachindex(e.lanes)
        e.lanes[l].member == 0 && load_member!(e, batch, l, e.lanes[1].member)
    end
    set_all!(w)
    while running > 0
        tick!(w)
        running -= settle!(e, batch, take, finish, correct!(e)...)
    end
    return nothing
end

"Takes up a member; returns whether there is one."
function begin_member!(e::EulerStepper, batch::Batch, l, member)
    a, n = e.lanes[l], e.work.model.n_states
    a.member = member
    member == 0 && return false
    a.counts, a.keeps, a.record = Counts(), e.keeps, SmallRecord(n)
    if a.keeps
        whole = sum(j -> steps_within(batch.breaks[j+1] - batch.breaks[j], e.settings), batch.intervals)
        sizehint!(a.record.data, round(Int, min(whole * (n + 2.0), e.settings.memory / 8)))
    end
    load_member!(e, batch, l, member)
    return true
end

function load_member!(e::EulerStepper, batch::Batch, l, member)
    m = e.work.model
    for i in 1:m.n_parameters
        set_lane!(e.work.v, m.n_states + i, l, batch.p[i, member])
    end
    for i in 1:m.n_states
        set_lane!(e.u, i, l, batch.y[i, first(batch.intervals), member])
    end
    begin_interval!(e, batch, l, member, first(batch.intervals))
end

"Sets a lane to the start of an interval, whose states it has."
function begin_interval!(e::EulerStepper, batch::Batch, l, member, j)
    w, a = e.work, e.lanes[l]
    whole = batch.breaks[j+1] - batch.breaks[j]
    set_length!(w, l, whole)
    @inbounds for i in w.model.read
        set_lane!(w.start, i, l, batch.f[i, 1, j, member])
        w.linear && set_lane!(w.finish, i, l, batch.f[i, end, j, member])
    end
    @inbounds for i in axes(batch.q, 1)
        batch.q[i, j, member] = 0.0
    end
    a.interval, a.step, a.count = j, 0, steps_within(whole, e.settings)
    a.size = whole / a.count
    begin_step!(e, l)
    return nothing
end

"Begins the next step of a lane from where it is."
function begin_step!(e::EulerStepper, l)
    a = e.lanes[l]
    a.step += 1
    e.t[l], e.h[l] = a.step * a.size, a.size
    a.solved, a.more, a.iterations, a.left = 0.0, 0.0, 0, STEP_ITERATIONS
    for i in eachindex(e.u)
        value = get_lane(e.u, i, l)
        set_lane!(e.start, i, l, value)
        set_lane!(e.best, i, l, value)
    end
    return :GoesOn
end

"""
Goes on after a correction that could be made in `good` lanes, where rates were finite in those `known`, and was the last one
in those `done`: with the next one, another step, interval or member. Returns how many lanes have come to an end without
another member.
"""
function settle!(e::EulerStepper{T}, batch::Batch, take::G, finish::H, known, good, done) where {T,G,H}
    w = e.work
    ended, moved, refilled = 0, false, false
    outside = isempty(w.model.guards) || !any_lane(done) ? mask_type(T)(false) :
              outside_lanes(set_point!(w, e.u, load_lanes(T, e.t)))
    for l in eachindex(e.lanes)
        a = e.lanes[l]
        a.member == 0 && continue
        code = go_on!(e, batch, l, lane(known, l), lane(good, l), lane(done, l), lane(outside, l))
        code === :GoesOn && continue
        if code === :Success && a.interval < last(batch.intervals)
            begin_interval!(e, batch, l, a.member, a.interval + 1)
            moved = true
            continue
        end
        finish(a.member, a, code)
        refilled |= begin_member!(e, batch, l, take())
        ended += a.member == 0
    end
    if refilled
        set_all!(w)
    elseif moved
        w.linear ? forget!(w) : set_forcing!(w, 0.0)
    end
    return ended
end

"Sets a lane to what comes after its correction; returns how its interval has ended, or that it goes on."
function go_on!(e::EulerStepper, batch::Batch, l, known, good, done, outside)
    a = e.lanes[l]
    a.count > e.settings.max_steps && return :MaxIters
    a.iterations += 1
    a.left -= 1
    if done
        a.more > 0 && a.solved + a.more < a.size && return longer!(e, l)
        outside && return range_left(e.work, l, e.t[l])
        return end_step!(e, batch, l)
    elseif good && a.iterations < ATTEMPT_ITERATIONS
        return a.left > 0 ? :GoesOn : :ConvergenceFailure
    end
    # From the start itself, where the first attempt begins, no shorter step helps.
    a.more == 0 && a.iterations == 1 && !known && return :NotFinite
    return shorter!(e, l)
end

"Tries a shorter step than the one that failed, from the end of the longest one that was solved."
function shorter!(e::EulerStepper, l)
    a = e.lanes[l]
    a.more = (a.more == 0 ? a.size : a.more) / SHORTER
    a.more < SHORTEST_SHARE * a.size && return :ConvergenceFailure
    return try!(e, l)
end

"Tries a longer step than the one that was solved."
function longer!(e::EulerStepper, l)
    a = e.lanes[l]
    a.solved += a.more
    a.more = min(LONGER * a.more, a.size - a.solved)
    foreach(i -> set_lane!(e.best, i, l, get_lane(e.u, i, l)), eachindex(e.u))
    return try!(e, l)
end

function try!(e::EulerStepper, l)
    a = e.lanes[l]
    e.h[l], a.iterations = a.solved + a.more, 0
    foreach(i -> set_lane!(e.u, i, l, get_lane(e.best, i, l)), eachindex(e.u))
    return a.left > 0 ? :GoesOn : :ConvergenceFailure
end

"Notes the end of a step, and at that of an interval stores what a lane has."
function end_step!(e::EulerStepper, batch::Batch, l)
    a, n = e.lanes[l], e.work.model.n_states
    a.counts.steps += 1
    a.keeps && (a.keeps = remember!(a.record, e, l))
    @inbounds for i in eachindex(e.fluxes)
        batch.q[i, a.interval, a.member] += get_lane(e.fluxes, i, l)
    end
    a.step < a.count && return begin_step!(e, l)
    finite = true
    @inbounds for i in 1:n
        value = batch.y[i, a.interval+1, a.member] = get_lane(e.u, i, l)
        finite &= isfinite(value)
    end
    a.keeps && push!(a.record.first, steps(a.record) + 1)
    return finite && all(isfinite, view(batch.q, :, a.interval, a.member)) ? :Success : :NotFinite
end

"Notes a step by its size, its start, and, other than those of Rodas5P, the states at its end; as `remember!` there."
function remember!(r::SmallRecord, e::EulerStepper, l)
    a = e.lanes[l]
    push!(r.data, a.size, (a.step - 1) * a.size)
    @inbounds for i in 1:r.n
        push!(r.data, get_lane(e.u, i, l))
    end
    return bytes(r) <= e.settings.memory
end
