# Batches of small systems: forward and back, alone or in lockstep.

"From this number of members on they are solved in lockstep; benchmarks raise it."
const FEW = Ref(3)

"Can members be solved in lockstep?"
runs_in_lanes(m::Model) = is_small(m)

"Runs `run` in as many tasks as there are threads, at most `most`; this task is one of them."
function in_tasks(run, most, clock::Clock)
    helpers = [Threads.@spawn run() for _ in 2:min(Threads.nthreads(), most)]
    try
        run()
        # This task alone hears of Ctrl-C, so it goes on listening while others work.
        while !all(istaskdone, helpers)
            listen(clock, 0.001)
            yield()
        end
    catch
        clock.stopped[] = true
        rethrow()
    finally
        foreach(fetch, helpers)
    end
    return nothing
end

"Gives out the numbers in `members`, one to whoever asks; 0 where there is none left."
function giver(members)
    next = Threads.Atomic{Int}(1)
    return () -> (i = Threads.atomic_add!(next, 1); i <= length(members) ? members[i] : 0)
end

"Numbers of lanes for a batch, or plain ones."
number_type(m::Model, members::Int) = runs_in_lanes(m) && members >= FEW[] ? Lanes : Float64

function ready!(m::Model, ::Type{T}, adjoint::String; back = false) where {T}
    return T === Lanes ? ready_lanes!(m; adjoint = back) : ready!(m; adjoint)
end

"Solves all members of a batch of a small system; returns a code for each."
function solve_small!(::Type{T}, model::Model, batch::Batch, settings::Settings, kept, counts, clock::Clock; keeps::Bool) where {T}
    linear = size(batch.f, 2) == 2
    return solve_lanes!(() -> Stepper{T}(model, linear, settings, clock; keeps), batch, lanes(T), kept, counts, clock; keeps)
end

"Has what `set_up` makes for each task, of `width` lanes, solve all members; returns a code for each."
function solve_lanes!(set_up, batch::Batch, width, kept, counts, clock::Clock; keeps::Bool)
    members = size(batch.y, 3)
    codes, take = fill("Success", members), giver(1:members)
    function finish(member, lane, code)
        codes[member] = String(code)
        counts[member] = lane.counts
        keeps && code === :Success && (kept[member] = member_record(lane))
        return nothing
    end
    function run()
        stepper = set_up()
        try
            solve_members!(stepper, batch, take, finish)
        catch failure
            failure isa Failure || rethrow()
            stop!(codes, take, stepper.lanes, failure)
        end
    end
    in_tasks(run, cld(members, width), clock)
    return codes
end

member_record(a::Lane) = MemberRecord(a.keeps ? copy(a.record) : nothing, a.step_counts, a.initial_steps)

"Notes the failure of those that were not finished."
function stop!(codes, take, lanes, failure)
    for a in lanes
        a.member > 0 && (codes[a.member] = String(failure.code))
    end
    while (member = take()) > 0
        codes[member] = String(failure.code)
    end
    return nothing
end

"What a lane is at on its way back through the steps of a member."
mutable struct WayBack
    member::Int
    interval::Int
    step::Int
    before::Int             # intervals before those that the record is of
    record::SmallRecord
end

WayBack(n::Int) = WayBack(0, 0, 0, 0, SmallRecord(n))

"What members in lockstep need to go back through their steps."
struct Backward{T,A}
    adjoint::A
    lanes::Vector{WayBack}
    t::Vector{Float64}
    h::Vector{Float64}
    start::Vector{T}
    lambda::Vector{T}
    q_bar::Vector{T}
    f_bar::Matrix{T}
end

function Backward(a, nodes::Int)
    m, T = a.work.model, eltype(a.work.v)
    n, L = m.n_states, lanes(T)
    return Backward(a, [WayBack(n) for _ in 1:L], zeros(L), ones(L), zeros(T, n), zeros(T, n), zeros(T, m.n_fluxes), zeros(T, m.n_forcings, nodes))
end

"Gradients to what a batch was solved for, and those they become."
struct Bars
    y::Array{Float64,3}
    q::Array{Float64,3}
    y0::Matrix{Float64}
    p::Matrix{Float64}
    f::Array{Float64,4}
end

"Pulls gradients back for the members that `take()` numbers; `codes` hears of each."
function pull_members!(b::Backward{T}, tape::Tape, bars::Bars, take::G, codes) where {T,G}
    w = b.adjoint.work
    running = count(l -> begin_back!(b, tape, bars, l, take, codes), eachindex(b.lanes))
    running == 0 && return nothing
    # Lanes without a member have gradients of zero; the rest is that of the first one.
    busy = findfirst(a -> a.member > 0, b.lanes)
    for l in eachindex(b.lanes)
        b.lanes[l].member == 0 && copy_lane!(b, busy, l)
    end
    fresh = true
    while running > 0
        tick!(w)
        fresh && set_all!(w)
        w.linear || set_forcing!(w, 0.0)
        t, h = load_lanes(T, b.t), load_lanes(T, b.h)
        step_back!(b, b.adjoint, t, h)
        fresh = false
        for l in eachindex(b.lanes)
            a = b.lanes[l]
            a.member == 0 && continue
            a.step -= 1
            next_step!(b, tape, bars, l) && continue
            end_back!(b, tape, bars, l, codes)
            another = begin_back!(b, tape, bars, l, take, codes)
            fresh |= another
            running -= !another
        end
    end
    return nothing
end

"Goes back through a step of each lane."
function step_back!(b::Backward, a::StepAdjoint, t, h)
    begin_step!(a, b.q_bar, b.start, t, h)
    k = stages_again!(a, b.start, t, h)
    step_adjoint!(b.lambda, b.q_bar, b.f_bar, a, b.start, k, t, h)
    return nothing
end

"Takes up the next member that there are steps to go back through for."
function begin_back!(b::Backward, tape::Tape, bars::Bars, l, take::G, codes) where {G}
    a, m, v = b.lanes[l], b.adjoint.work.model, b.adjoint.work.v
    while (member = take()) > 0
        record = tape.kept[member].record::Union{Nothing,SmallRecord}
        a.member, a.interval = member, length(tape.breaks)
        a.before = record === nothing ? a.interval - 1 : 0
        a.record = something(record, SmallRecord(m.n_states))
        a.step = steps(a.record)
        for i in 1:m.n_parameters
            set_lane!(v, m.n_states + i, l, tape.p[i, member])
        end
        foreach(i -> set_lane!(b.lambda, i, l, 0.0), eachindex(b.lambda))
        next_step!(b, tape, bars, l) && return true
        end_back!(b, tape, bars, l, codes)
    end
    a.member = 0
    foreach(x -> foreach(i -> set_lane!(x, i, l, 0.0), eachindex(x)), (b.lambda, b.q_bar))
    return false
end

"Gives a lane without a member the values of another one."
function copy_lane!(b::Backward, from, to)
    w = b.adjoint.work
    for x in (w.v, w.start, w.finish, b.start), i in eachindex(x)
        set_lane!(x, i, to, get_lane(x, i, from))
    end
    set_length!(w, to, lane(length_of(w), from))
    b.t[to], b.h[to] = b.t[from], b.h[from]
    return nothing
end

"Loads the step that is next on the way back; returns whether there is one."
function next_step!(b::Backward, tape::Tape, bars::Bars, l)
    a, intervals = b.lanes[l], length(tape.breaks) - 1
    while a.step < a.record.first[a.interval-a.before]
        a.interval <= intervals && store_forcing!(bars.f, b.f_bar, b.adjoint.work.model.read, l, a)
        a.interval == 1 && return false
        a.interval -= 1
        enter_interval!(b, tape, bars, l)
    end
    at, r = a.step, a.record
    at > 2 && fetch_early(r.data, (at - 3) * (r.n + 2) + 1)
    b.t[l], b.h[l] = start_of(r, at), size_of_step(r, at)
    @inbounds for i in 1:r.n
        set_lane!(b.start, i, l, r.data[(at-1)*(r.n+2)+2+i])
    end
    return true
end

function store_forcing!(f, f_bar, read, l, a::WayBack)
    @inbounds for node in axes(f_bar, 2), i in read
        f[i, node, a.interval, a.member] = get_lane(f_bar, i + (node - 1) * size(f_bar, 1), l)
    end
    return nothing
end

"Adds what is given at the end of an interval, and sets the interval; without any gradient its steps are left out."
function enter_interval!(b::Backward, tape::Tape, bars::Bars, l)
    a, w = b.lanes[l], b.adjoint.work
    j, member = a.interval, a.member
    zeros_only = true
    @inbounds for i in eachindex(b.lambda)
        value = get_lane(b.lambda, i, l) + bars.y[i, j+1, member]
        zeros_only &= value == 0
        set_lane!(b.lambda, i, l, value)
    end
    @inbounds for i in eachindex(b.q_bar)
        zeros_only &= bars.q[i, j, member] == 0
        set_lane!(b.q_bar, i, l, bars.q[i, j, member])
    end
    @inbounds for node in axes(b.f_bar, 2), i in w.model.read
        set_lane!(b.f_bar, i + (node - 1) * size(b.f_bar, 1), l, 0.0)
    end
    if j <= a.before
        # It was not kept, and is taken again, an interval at a time.
        a.record, a.before = zeros_only ? SmallRecord(size(b.start, 1)) : again(b.adjoint, tape, member, j), j - 1
    end
    a.step = a.record.first[zeros_only ? j - a.before : j - a.before + 1] - 1
    set_length!(w, l, tape.breaks[j+1] - tape.breaks[j])
    nodes = size(tape.f, 2)
    @inbounds for i in w.model.read
        set_lane!(w.start, i, l, tape.f[i, 1, j, member])
        w.linear && set_lane!(w.finish, i, l, tape.f[i, nodes, j, member])
    end
    # What is stored on the way out of this interval, and read on the way into the one before.
    fetch_early(bars.f, 1, j, member)
    if j > 1
        fetch_early(bars.y, j, member)
        fetch_early(bars.q, j - 1, member)
        fetch_early(tape.f, 1, j - 1, member)
    end
    return nothing
end

"Stores what has come to the start of a member, and clears what its lane has added up."
function end_back!(b::Backward, tape::Tape, bars::Bars, l, codes)
    a, w = b.lanes[l], b.adjoint.work
    member, m = a.member, w.model
    finite = all(isfinite, view(bars.f, :, :, :, member))
    for i in 1:m.n_states
        bars.y0[i, member] = get_lane(b.lambda, i, l) + bars.y[i, 1, member]
        finite &= isfinite(bars.y0[i, member])
    end
    each(w) do k, s
        for j in k.along+1:k.variable, i in 1:items(k)
            at = (j - 1) * items(k) + i
            bars.p[k.gather[i, j]-m.n_states, member] += get_lane(s.bars, at, l)
            set_lane!(s.bars, at, l, 0.0)
        end
    end
    if !(finite && all(isfinite, view(bars.p, :, member)))
        codes[member] = "NotFinite"
        # Nothing of it is to stay in the lane.
        each((k, s) -> foreach(i -> set_lane!(s.bars, i, l, 0.0), eachindex(s.bars)), w)
    end
    return nothing
end

"Pulls gradients back in lockstep for `members`; returns a code for all."
function pull_small!(::Type{T}, model::Model, tape::Tape, bars::Bars, members, clock::Clock) where {T}
    nodes = size(tape.f, 2)
    set_up() = Backward(StepAdjoint(Work{T}(model, nodes == 2; adjoint = true, clock), SmallSolver(StepSpace{T}(model)), method_of(tape.settings.solver)), nodes)
    return pull_lanes!(set_up, lanes(T), tape, bars, members, clock)
end

"Has what `set_up` makes for each task, of `width` lanes, pull gradients back for `members`; returns a code for all."
function pull_lanes!(set_up, width, tape::Tape, bars::Bars, members, clock::Clock)
    codes, take = fill("Success", size(bars.y, 3)), giver(members)
    function run()
        b = set_up()
        try
            pull_members!(b, tape, bars, take, codes)
        catch failure
            failure isa Failure || rethrow()
            stop!(codes, take, b.lanes, failure)
        end
    end
    in_tasks(run, cld(length(members), width), clock)
    return codes
end

"""
Is the way back of a member that of a lane? Not where its steps are to be taken again, or may have crossed a place where the
rates jump.
"""
function straight(m::Model, kept, breaks, resolution)
    kept isa MemberRecord && kept.record isa SmallRecord || return false
    m.decisions || return true
    r = kept.record
    for j in 1:length(breaks)-1, step in r.first[j]:r.first[j+1]-1
        size_of_step(r, step) <= resolution * (breaks[j+1] - breaks[j]) && return false
    end
    return true
end
