# Tangents of batches of small systems in lockstep: lanes go along the steps that their members took.

"So many directions are pushed together at the most: what they overwrite is to stay near the processor."
const TOGETHER = 16

"What a lane is at on its way along the steps of a member."
mutable struct WayOn
    member::Int
    interval::Int
    step::Int
    record::SmallRecord
end

"Directions of the inputs of a batch, their last axis, and where those of its results go."
struct Dots
    y0::Array{Float64,3}
    p::Array{Float64,3}
    f::Array{Float64,5}
    y::Array{Float64,4}
    q::Array{Float64,4}
end

"What members in lockstep need to go along their steps."
struct Onward{T,A}
    tangent::A
    lanes::Vector{WayOn}
    t::Vector{Float64}
    h::Vector{Float64}
    point::Vector{T}            # states that the record has of the step
    first::Vector{Matrix{T}}    # moves of forcings at the start and the end of the interval, (directions, forcings)
    low::Int                    # directions before the first one
end

function Onward(a::SmallTangent{T}, low) where {T}
    m, L = a.work.model, lanes(T)
    return Onward(a, [WayOn(0, 0, 0, SmallRecord(m.n_states)) for _ in 1:L], zeros(L), ones(L), zeros(T, m.n_states),
                  [zeros(T, size(a.v, 1), m.n_forcings) for _ in 1:(a.work.linear ? 2 : 1)], low)
end

"Which of the directions after `low`, so many, each value may move along: all together, parameters and forcings those given."
function moving_along(m::Model, dots::Dots, low, directions)
    before = m.n_states + m.n_parameters
    between(moves) = (some = findall(moves, 1:directions); isempty(some) ? (1:0) : (first(some):last(some)))
    ranges = map(1:before+m.n_forcings) do i
        i <= m.n_states && return 1:directions
        i <= before && return between(d -> any(!iszero, view(dots.p, i - m.n_states, :, low + d)))
        return between(d -> any(!iszero, view(dots.f, i - before, :, :, :, low + d)))
    end
    return position -> position <= length(ranges) ? ranges[position] : 1:directions
end

"Pushes directions along for the members that `take()` numbers; `codes` hears of each."
function push_members!(b::Onward{T}, tape::Tape, dots::Dots, take::G, codes) where {T,G}
    w = b.tangent.work
    running = count(l -> begin_on!(b, tape, dots, l, take, codes), eachindex(b.lanes))
    running == 0 && return nothing
    # Lanes without a member compute what the first one does, and are not looked at.
    member = b.lanes[findfirst(a -> a.member > 0, b.lanes)].member
    for (l, a) in enumerate(b.lanes)
        a.member == 0 || continue
        load_member!(b, tape, dots, l, member)
        next_step!(b, tape, dots, l)
        a.member = 0
    end
    fresh = true
    while running > 0
        tick!(w)
        fresh && set_all!(w)
        w.linear || set_forcing!(w, 0.0)
        step_on!(b, tape.settings, load_lanes(T, b.t), load_lanes(T, b.h))
        fresh = false
        for (l, a) in enumerate(b.lanes)
            a.member == 0 && continue
            a.step += 1
            next_step!(b, tape, dots, l) && continue
            note_finite!(codes, dots, b, a.member)
            another = begin_on!(b, tape, dots, l, take, codes)
            fresh |= another
            running -= !another
        end
    end
    return nothing
end

function step_on!(b::Onward, s::Settings, t, h)
    a, n = b.tangent, length(b.point)
    before = n + a.work.model.n_parameters
    share = a.work.linear ? (t + h) / length_of(a.work) : zero(h)
    @inbounds for i in a.work.model.read, d in axes(a.v, 1)
        start = b.first[1][d, i]
        a.v[d, before+i] = a.work.linear ? start + share * (b.first[2][d, i] - start) : start
    end
    s.solver == EULER ? euler_moves!(a, b.point, t, h) : rodas_moves!(a, b.point, t, h)
    return nothing
end

"Takes up the next member that there are steps to go along for."
function begin_on!(b::Onward, tape::Tape, dots::Dots, l, take::G, codes) where {G}
    while (member = take()) > 0
        load_member!(b, tape, dots, l, member)
        next_step!(b, tape, dots, l) && return true
        note_finite!(codes, dots, b, member)
    end
    b.lanes[l].member = 0
    return false
end

function load_member!(b::Onward, tape::Tape, dots::Dots, l, member)
    a, m, D = b.lanes[l], b.tangent.work.model, size(b.tangent.v, 1)
    a.member, a.interval, a.step, a.record = member, 0, 1, tape.kept[member].record
    for i in 1:m.n_parameters
        set_lane!(b.tangent.work.v, m.n_states + i, l, tape.p[i, member])
        foreach(d -> set_lane!(b.tangent.v, (m.n_states + i - 1) * D + d, l, dots.p[i, member, b.low+d]), 1:D)
    end
    for i in 1:m.n_states, d in 1:D
        set_lane!(b.tangent.u, (i - 1) * D + d, l, dots.y0[i, member, b.low+d])
    end
    return nothing
end

"Loads the step that is next; returns whether there is one."
function next_step!(b::Onward, tape::Tape, dots::Dots, l)
    a = b.lanes[l]
    r = a.record
    while a.step >= r.first[a.interval+1]
        a.interval > 0 && store_moves!(b, dots, l)
        a.interval + 1 < length(tape.breaks) || return false
        a.interval += 1
        enter_interval!(b, tape, dots, l)
    end
    b.t[l], b.h[l] = start_of(r, a.step), size_of_step(r, a.step)
    @inbounds for i in 1:r.n
        set_lane!(b.point, i, l, r.data[(a.step-1)*(r.n+2)+2+i])
    end
    return true
end

"Stores how the states and the integrated fluxes at the end of an interval move."
function store_moves!(b::Onward, dots::Dots, l)
    a, u = b.lanes[l], b.tangent.u
    n, D = b.tangent.work.model.n_states, size(u, 1)
    @inbounds for i in axes(u, 2), d in 1:D
        value = get_lane(u, (i - 1) * D + d, l)
        i <= n ? (dots.y[i, a.interval+1, a.member, b.low+d] = value) : (dots.q[i-n, a.interval, a.member, b.low+d] = value)
    end
    return nothing
end

function enter_interval!(b::Onward, tape::Tape, dots::Dots, l)
    a, w = b.lanes[l], b.tangent.work
    j, D = a.interval, size(b.tangent.u, 1)
    set_length!(w, l, tape.breaks[j+1] - tape.breaks[j])
    @inbounds for i in w.model.read
        set_lane!(w.start, i, l, tape.f[i, 1, j, a.member])
        w.linear && set_lane!(w.finish, i, l, tape.f[i, end, j, a.member])
        for (node, moves) in enumerate(b.first), d in 1:D
            set_lane!(moves, (i - 1) * D + d, l, dots.f[i, node, j, a.member, b.low+d])
        end
    end
    for at in w.model.n_states*D+1:length(b.tangent.u)
        set_lane!(b.tangent.u, at, l, 0.0)
    end
    return nothing
end

function note_finite!(codes, dots::Dots, b::Onward, member)
    some = b.low+1:b.low+size(b.tangent.u, 1)
    all(isfinite, view(dots.y, :, :, member, some)) && all(isfinite, view(dots.q, :, :, member, some)) || (codes[member] = "NotFinite")
    return nothing
end

"Pushes all directions along in lockstep for `members`; returns a code for all."
function push_small!(model::Model, tape::Tape, dots::Dots, members, clock::Clock)
    codes = fill("Success", size(tape.y, 3))
    euler, linear = tape.settings.solver == EULER, size(tape.f, 2) == 2
    foreach(m -> dots.y[:, 1, m, :] .= view(dots.y0, :, m, :), members)
    for low in 0:TOGETHER:size(dots.y0, 3)-1
        directions, take = min(TOGETHER, size(dots.y0, 3) - low), giver(members)
        moving = moving_along(model, dots, low, directions)
        function run()
            b = Onward(SmallTangent{Lanes}(model, linear, clock, moving, directions, euler ? nothing : method_of(tape.settings.solver)), low)
            try
                push_members!(b, tape, dots, take, codes)
            catch failure
                failure isa Failure || rethrow()
                stop!(codes, take, b.lanes, failure)
            end
        end
        in_tasks(run, cld(length(members), WIDTH), clock)
    end
    return codes
end

"""
The members, of those numbered in `good`, whose tangents are pushed along in lockstep: where records were kept of enough of
them, without crossing places where rates jump. Networks, and forcings that change within intervals of Rodas5P, are not.
"""
function pushed_in_lanes(model::Model, tape::Tape, good::Vector{Int})
    euler = tape.settings.solver == EULER
    runs_in_lanes(model) && (euler || size(tape.f, 2) == 1) && !any(k -> k.network !== nothing, model.stages) || return Int[]
    usable(m) = euler ? tape.kept[m].record !== nothing : straight(model, tape.kept[m], tape.breaks, tape.settings.rtol)
    found = filter(usable, good)
    return length(found) < FEW[] ? Int[] : found
end

"Does a tangent need `add_moves` to be called before?"
lacks_moves(model::Model, tape::Tape, good) = isempty(model.moves) && !isempty(pushed_in_lanes(model, tape, integers(good, :)))
