# Rodas5P for systems of few states, of one member or of several in lockstep: the method and the control of its steps are
# those of the solver that larger systems go to, without what surrounds it there, which takes longer than the arithmetic of a
# few states. Each lane has a member, an interval and a step of its own; a lane whose member has come to its end takes
# the next one. No number of a lane goes into another: a member is solved as if it were alone.

"Up to this number of states systems are solved here."
const SMALL = 12

is_small(m::Model) = m.n_states <= SMALL

# Control of the size of steps by the error of the last two (Gustafsson 1994, ACM Trans. Math. Softw. 20; as in Hairer and
# Wanner 1996, IV.8): the safety factor, and by how much to shrink or to grow at most. `ORDER` is one more than that of the
# error estimate.
const SAFETY, SHRINK, GROW = 0.9, 10.0, 6.0
const ORDER = 5
const LEAST_ROOT = 1e-2^(1 / ORDER)     # of an error, where that of the next step is predicted

"What a lane does: its member, or 0 for none, and how far it has come."
mutable struct Lane
    member::Int
    interval::Int
    tries::Int              # in this interval
    taken::Int              # of these, accepted
    counts::Counts
    proposed::Float64       # size of the step, before the end of the interval cuts it short
    longest::Float64        # of the steps in this interval
    size_before::Float64    # of the last step that was accepted in this interval, or 0,
    quotient_before::Float64    # and the root of its error
    resume::Float64         # size to go on with behind a switch that is being located, or 0
    fresh::Bool             # is there no size of its first step?
    step_counts::Vector{Int}
    initial_steps::Vector{Float64}
    record::SmallRecord
    keeps::Bool
end

Lane(n::Int) = Lane(0, 0, 0, 0, Counts(), 0.0, 0.0, 0.0, 1.0, 0.0, true, Int[], Float64[], SmallRecord(n), false)

"What computing a step reads and overwrites."
struct StepSpace{T,F}
    factors::F                      # of the matrix of the step
    border::Vector{NTuple{3,Int}}   # entries of the Jacobian that give integrated fluxes: place, flux, state
    at::Vector{T}                   # states at a stage
    rates::Vector{T}
    time_rates::Vector{T}
    right::Vector{T}
end

function StepSpace{T}(m::Model) where {T}
    n, total, rows = m.n_states, size_of(m), rowvals(m.pattern)
    border = [(at, rows[at], column) for column in 1:n for at in nzrange(m.pattern, column) if rows[at] > n]
    return StepSpace(SmallFactors{T}(n), border, zeros(T, n), zeros(T, total), zeros(T, total), zeros(T, n))
end

struct Stepper{T,S,K,V}
    work::Work{T}
    tab::K
    settings::Settings
    keeps::Bool                     # for a discrete adjoint
    first_steps::Vector{Float64}    # sizes to begin each interval with, where it was solved before
    space::S
    u::Vector{T}                    # states, and fluxes integrated since the start of the interval
    next::Vector{T}
    k::Matrix{T}                    # (stages, rates)
    lanes::Vector{Lane}
    t::Vector{Float64}              # of each lane: time since the start of the interval,
    h::Vector{Float64}              # size of the step,
    error::Vector{Float64}          # of the step, over its tolerance,
    quotient::Vector{Float64}       # and the root of that: by how much to shrink
    turned::V                       # per stage and kernel: [item, switch] where one has turned and slopes or results have jumped
end

function Stepper{T}(m::Model, linear::Bool, s::Settings, clock = Clock(); adjoint = false, keeps = false,
                    first_steps = Float64[]) where {T}
    n, total, L = m.n_states, size_of(m), lanes(T)
    w = Work{T}(m, linear; adjoint, clock)
    w.resolution, w.rtol, w.atol, w.steep_share = s.rtol, s.rtol, s.atol, s.steep_share
    some(value) = fill(value, L)
    return Stepper(w, RODAS5P, s, keeps, first_steps, StepSpace{T}(m), zeros(T, total), zeros(T, total), zeros(T, STAGES, total),
                   [Lane(n) for _ in 1:L], some(0.0), some(1.0), some(0.0), some(1.0), Turned(T, m))
end

const RODAS5P = OrdinaryDiffEqRosenbrock.Rodas5PTableau(Float64, Float64)

"Members to be solved, and where results go; of `intervals` alone."
struct Batch
    breaks::Vector{Float64}
    p::Matrix{Float64}
    f::Array{Float64,4}
    y::Array{Float64,3}
    q::Array{Float64,3}
    intervals::UnitRange{Int}
end

"The matrix `J - I shift` of a step."
function set_matrix!(f::SmallFactors{T}, w::Work{T}, shift) where {T}
    m = w.model
    rows, n = rowvals(m.pattern), m.n_states
    fill!(f.values, zero(T))
    @inbounds for column in 1:n
        for at in nzrange(m.pattern, column)
            row = rows[at]
            row <= n && (f.values[row, column] = w.entries[at])
        end
    end
    @inbounds for i in 1:n
        f.values[i, i] -= shift
    end
    return f
end

"""
Computes the stages of a step of size `h` from `start`, where slopes were just evaluated and the matrix of the step has been
factorised: those of the states, and where `k` has columns for them those of the integrated fluxes.
"""
function stages!(k, c::StepSpace{T}, w::Work{T}, tab, start, t, h) where {T}
    n, total, rates, right = w.model.n_states, size(k, 2), c.rates, c.right
    inverse, gamma_h = inv(h), tab.gamma * h
    w.linear && time_rates!(c.time_rates, w)
    for i in 1:STAGES
        i == 1 ? known_rates!(rates, w) : rates!(rates, set_point!(w, stage_point!(c.at, start, k, tab.A, i), fused(tab.c[i], h, t)))
        @inbounds for l in 1:total
            sum = zero(T)
            for j in 1:i-1
                sum = fused(tab.C[i, j], k[j, l], sum)
            end
            rate = fused(inverse, sum, rates[l])
            w.linear && (rate = fused(h * tab.d[i], c.time_rates[l], rate))
            l <= n ? (right[l] = -rate) : (rates[l] = rate)
        end
        divide!(right, c.factors)
        @inbounds for l in 1:n
            k[i, l] = right[l]
        end
        total > n || continue
        @inbounds for (at, flux, state) in c.border
            rates[flux] = fused(w.entries[at], right[state], rates[flux])
        end
        @inbounds for l in n+1:total
            k[i, l] = gamma_h * rates[l]
        end
    end
    return k
end

"Computes a step of all lanes, its error, and what that says about the next one."
function attempt!(s::Stepper{T}) where {T}
    w, tab, k = s.work, s.tab, s.k
    total = size_of(w.model)
    t, h = load_lanes(T, s.t), load_lanes(T, s.h)
    jacobian!(set_point!(w, s.u, t))
    note_sides!(w)
    emphasise!(w, s.u)
    factorise!(set_matrix!(s.space.factors, w, inv(tab.gamma * h)))
    stages!(k, s.space, w, tab, s.u, t, h)
    sum = zero(T)
    @inbounds for l in 1:total
        new, wrong = s.u[l], zero(T)
        for i in 1:STAGES
            new = fused(tab.b[i], k[i, l], new)
            wrong = fused(tab.btilde[i], k[i, l], wrong)
        end
        s.next[l] = new
        tolerance = fused(w.rtol, greater(abs(s.u[l]), abs(new)), w.atol)
        sum += abs2(w.emphasis[l] * wrong / tolerance)
    end
    found = root(sum / total)
    store_lanes!(s.error, found)
    store_lanes!(s.quotient, exponential(logarithm(found) / ORDER))
    return nothing
end

"A first step for lanes that have none, from how fast the rates change (Hairer, Norsett and Wanner 1993, II.4)."
function find_first_steps!(s::Stepper{T}) where {T}
    w, total = s.work, size_of(s.work.model)
    size(x) = (sum = zero(T); for l in 1:total sum += abs2(x(l) / (w.atol + w.rtol * abs(s.u[l]))) end; root(sum / total))
    t = load_lanes(T, s.t)
    rates, later = s.space.rates, s.space.time_rates
    rates!(rates, set_point!(w, s.u, t))
    speed, far = size(l -> rates[l]), size(l -> s.u[l])
    try_first = pick((far < 1e-5) | (speed < 1e-5), T(1e-6), 0.01 * far / speed)
    longest = length_of(w)
    try_first = lesser(try_first, longest)
    for l in 1:total
        s.next[l] = s.u[l] + try_first * rates[l]
    end
    rates!(later, set_point!(w, s.next, t + try_first))
    bend = size(l -> later[l] - rates[l]) / try_first
    most = greater(speed, bend)
    second = pick(most <= 1e-15, greater(T(1e-6), 1e-3 * try_first), exponential(logarithm(0.01 / most) / 6))
    found = lesser(lesser(100.0 * try_first, second), longest)
    for (l, a) in enumerate(s.lanes)
        a.fresh && a.member > 0 || continue
        size_found = lane(found, l)
        a.proposed = s.h[l] = isfinite(size_found) ? size_found : 1e-6 * length_of(s, l)
        a.fresh = false
    end
    return nothing
end

length_of(s::Stepper, l) = lane(length_of(s.work), l)

set_length!(w::Work, l, size) = (w.length = size; nothing)
set_length!(w::Work{Lanes}, l, size) = set_lane!(w.lengths, 1, l, size)
share_of(w::Work, l) = w.share
share_of(w::Work{Lanes}, l) = get_lane(w.shares, 1, l)
reset_share!(w::Work, l) = (w.share = 1.0; nothing)
reset_share!(w::Work{Lanes}, l) = set_lane!(w.shares, 1, l, 1.0)

"Solves members of the batch that `take()` numbers, until it gives none; `finish(member, lane, code)` hears of each."
function solve_members!(s::Stepper{T}, batch::Batch, take::G, finish::H) where {T,G,H}
    w = s.work
    running = 0
    for l in eachindex(s.lanes)
        running += begin_member!(s, batch, l, take())
    end
    running == 0 && return nothing
    # Lanes without a member compute as the first one does, and are not looked at.
    for l in eachindex(s.lanes)
        s.lanes[l].member == 0 && load_member!(s, batch, l, s.lanes[1].member)
    end
    set_all!(w)
    while running > 0
        tick!(w)
        any(a -> a.fresh && a.member > 0, s.lanes) && find_first_steps!(s)
        attempt!(s)
        running -= settle!(s, batch, take, finish)
    end
    return nothing
end

"Values that all lanes take from what was set in some."
function set_all!(w::Work)
    forget!(w)
    w.linear || set_forcing!(w, 0.0)
    unmoved!(k, x) = gather!(x.x, w.v, k, k.along+1:inputs(k))
    each(unmoved!, w)
    foreach(unmoved!, w.model.guards, w.guards)
    return nothing
end

"Takes up a member; returns whether there is one."
function begin_member!(s::Stepper, batch::Batch, l, member)
    a = s.lanes[l]
    a.member = member
    member == 0 && return false
    a.counts, a.keeps = Counts(), s.keeps
    empty!(a.record)
    intervals = length(batch.breaks) - 1
    a.step_counts = zeros(Int, intervals)
    a.initial_steps = isempty(s.first_steps) ? zeros(intervals) : copy(s.first_steps)
    load_member!(s, batch, l, member)
    return true
end

function load_member!(s::Stepper{T}, batch::Batch, l, member) where {T}
    w, a = s.work, s.lanes[l]
    m = w.model
    for i in 1:m.n_parameters
        set_lane!(w.v, m.n_states + i, l, batch.p[i, member])
    end
    for i in 1:m.n_states
        set_lane!(s.u, i, l, batch.y[i, first(batch.intervals), member])
    end
    reset_share!(w, l)
    begin_interval!(s, batch, l, member, first(batch.intervals))
end

"Sets a lane to the start of an interval, whose states it has."
function begin_interval!(s::Stepper, batch::Batch, l, member, j)
    w, a = s.work, s.lanes[l]
    m = w.model
    size = batch.breaks[j+1] - batch.breaks[j]
    set_length!(w, l, size)
    nodes = Base.size(batch.f, 2)
    @inbounds for i in 1:m.n_forcings
        set_lane!(w.start, i, l, batch.f[i, 1, j, member])
        set_lane!(w.finish, i, l, batch.f[i, nodes, j, member])
    end
    for i in m.n_states+1:size_of(m)
        set_lane!(s.u, i, l, 0.0)
    end
    a.interval, a.tries, a.taken, a.longest = j, 0, 0, 0.0
    first_step = length(a.initial_steps) < j ? 0.0 : a.initial_steps[j]
    a.fresh = first_step == 0
    a.proposed = min(first_step, size)
    a.size_before, a.resume = 0.0, 0.0
    s.t[l] = 0.0
    s.h[l] = a.fresh ? size : a.proposed
    return nothing
end

"""
Accepts or refuses the step of each lane, moves lanes to their next interval or member where they have come to the end of
one, and returns how many have come to an end without another.
"""
function settle!(s::Stepper{T}, batch::Batch, take::G, finish::H) where {T,G,H}
    w, settings = s.work, s.settings
    t, h = load_lanes(T, s.t), load_lanes(T, s.h)
    good = load_lanes(T, s.error) <= 1
    turned = switched_lanes(s, t, h)
    crossed = good & turned & !short(w, h)      # while longer than the resolution
    located = any_lane(crossed) ? locate(s, t, h) : one(T)
    outside = isempty(w.model.guards) ? crossed & false : outside_lanes(s)
    accepted = good & !crossed
    ended = 0
    for l in eachindex(s.lanes)
        a = s.lanes[l]
        (a.member == 0 || lane(accepted, l)) && continue
        error, size = s.error[l], s.h[l]
        a.counts.rejections += 1
        if lane(crossed, l)
            # Up to where a switch turns, then across it with a short step, and on with one of this size.
            a.resume = max(size, a.resume)
            a.proposed = max(size * lane(located, l), 0.9 * w.resolution * length_of(s, l))
        else
            # A little less than the error asks for: to be refused again costs more.
            a.proposed = isfinite(error) ? size / clamp(s.quotient[l] / SAFETY, 1.25, SHRINK) : size / SHRINK
        end
        a.tries += 1
    end
    for l in eachindex(s.lanes)
        a = s.lanes[l]
        (a.member != 0 && lane(accepted, l)) || continue
        a.keeps && (a.keeps = remember!(a.record, s, l))
    end
    keep_accepted!(s, accepted)
    moved = refilled = false
    for l in eachindex(s.lanes)
        a = s.lanes[l]
        a.member == 0 && continue
        code = :Success
        whole = length_of(s, l)
        over = false
        if lane(accepted, l)
            a.taken += 1
            a.tries += 1
            a.longest = max(a.longest, s.h[l])
            over = s.h[l] >= whole - s.t[l]
            s.t[l] = over ? whole : s.t[l] + s.h[l]
            a.proposed = min(whole, next_size!(a, s.h[l], s.quotient[l], w.resolution * whole, lane(turned, l)))
            lane(outside, l) && (code = range_left(s, l))
        elseif a.proposed < 1e-15 * whole || s.t[l] + a.proposed == s.t[l]
            code = isnan(s.error[l]) ? :DtNaN : :DtLessThanMin
        end
        if code === :Success && over
            code = end_interval!(s, batch, l)
            if code === :Success && a.interval < last(batch.intervals)
                begin_interval!(s, batch, l, a.member, a.interval + 1)
                moved = true
                continue
            end
        elseif code === :Success && a.tries >= settings.max_steps
            code = :MaxIters
        end
        if over || code !== :Success
            a.counts.share = share_of(w, l)
            finish(a.member, a, code)
            refilled |= begin_member!(s, batch, l, take())
            ended += a.member == 0
            continue
        end
        left = whole - s.t[l]
        s.h[l] = a.proposed * (1 + 1e-10) >= left ? left : a.proposed
    end
    if refilled
        set_all!(w)
    elseif moved
        w.linear ? forget!(w) : set_forcing!(w, 0.0)
    end
    return ended
end

@inline with_mask(m::Bool, l) = true
@inline with_mask(m::Mask, l) = Mask(Base.setindex(m.v, VecElement(true), l))

"The size of the step after an accepted one, or of that which is now cut short, of size `h`."
function next_size!(a::Lane, h, root, resolution, turned)
    cut = h < a.proposed
    root = max(root, 1e-9)
    shrink = root / SAFETY
    a.size_before > 0 && (shrink = max(shrink, a.size_before / h * root * root / (a.quotient_before * SAFETY)))
    next = h / clamp(shrink, 1 / GROW, SHRINK)
    a.size_before, a.quotient_before = h, max(root, LEAST_ROOT)
    if a.resume > 0
        # Before the switch comes a short step. Where that has not crossed it, it was farther away, or not there.
        next = h > resolution ? min(next, 0.9 * resolution) : max(next, turned ? a.resume : 0.3 * a.resume)
        h <= resolution && (a.resume = a.size_before = 0.0)
        return next
    end
    return cut ? max(next, a.proposed) : next
end

"Lanes whose steps were accepted go on from where these end."
function keep_accepted!(s::Stepper, accepted)
    @inbounds for i in eachindex(s.u)
        s.u[i] = pick(accepted, s.next[i], s.u[i])
    end
    return nothing
end

"Stores what a lane has at the end of its interval."
function end_interval!(s::Stepper, batch::Batch, l)
    a, n = s.lanes[l], s.work.model.n_states
    j = a.interval
    finite = true
    @inbounds for i in eachindex(s.u)
        value = get_lane(s.u, i, l)
        finite &= isfinite(value)
        i <= n ? (batch.y[i, j+1, a.member] = value) : (batch.q[i-n, j, a.member] = value)
    end
    # The last step was cut short by the end of the interval, and says less than the longest one.
    length(a.initial_steps) > j && (a.initial_steps[j+1] = max(a.longest, a.proposed))
    a.step_counts[j] = a.taken
    a.counts.steps += a.taken
    a.keeps && push!(a.record.first, steps(a.record) + 1)
    return finite ? :Success : :NotFinite
end

"""
Notes the accepted step that a lane is at the end of; returns whether the record stays within the memory allowed. Where it
does not it is given up.
"""
function remember!(r::SmallRecord, s::Stepper, l)
    push!(r.sizes, s.h[l])
    push!(r.starts, s.t[l])
    for i in 1:r.n
        push!(r.points, get_lane(s.u, i, l))
    end
    return bytes(r) <= s.settings.memory
end

Turned(::Type{T}, m::Model) where {T} = [fill(mask_type(T)(false), k.branches > 0 ? items(k) : 0, k.branches) for k in both(m)]

"The lanes in which the step from `t` of size `h` has crossed a jump."
function switched_lanes(s::Stepper{T}, t, h) where {T}
    w, found = s.work, mask_type(T)(false)
    w.resolution > 0 && w.model.switches || return found
    assign_values!(set_point!(w, s.next, t + h))
    for (k, x, turned) in zip(both(w.model), both(w), s.turned)
        k.branches > 0 && (found |= switched_lanes!(turned, k, x, w))
    end
    w.looked = true     # until another point is set
    return found
end

function switched_lanes!(turned, k::Kernel, s::Space, w::Work{T}) where {T}
    none = any_turn = mask_type(T)(false)
    fill!(turned, none)
    branch!(k, s.marks_then, gather!(s.x, w.v, k, 1:k.active))
    @inbounds for i in eachindex(s.marks)
        any_turn |= s.marks[i] != s.marks_then[i]
    end
    any_lane(any_turn) || return none
    slopes!(k, s.out, s.slopes_then, s.x)
    found = none
    for i in 1:items(k)
        jumps = jumped(s, k, i)
        found |= jumps
        for j in axes(turned, 2)
            turned[i, j] = jumps & (s.marks[i, j] != s.marks_then[i, j])
        end
    end
    return found
end

# Bisections of a step in search of a switch.
const HALVINGS = 12

"""
The share of a step of size `h` from `t` after which the first switch turns of those that turned with a jump; found on the
polynomial through the stages.
"""
function locate(s::Stepper{T}, t, h) where {T}
    w, before, behind = s.work, zero(T), one(T)
    for _ in 1:HALVINGS
        share = 0.5 * (before + behind)
        assign_values!(set_point!(w, between!(s.space.at, s, share), t + share * h))
        beyond = mask_type(T)(false)
        for (k, x, turned) in zip(both(w.model), both(w), s.turned)
            k.branches > 0 && (beyond |= turned_lanes(turned, k, x, w))
        end
        before, behind = pick(beyond, before, share), pick(beyond, share, behind)
    end
    return before
end

function turned_lanes(turned, k::Kernel, s::Space, w::Work{T}) where {T}
    found = mask_type(T)(false)
    branch!(k, s.marks_then, gather!(s.x, w.v, k, 1:k.active))
    @inbounds for j in axes(s.marks, 2), i in axes(s.marks, 1)
        found |= turned[i, j] & (s.marks[i, j] != s.marks_then[i, j])
    end
    return found
end

"States within a step, after a share of it."
function between!(u, s::Stepper{T}, share) where {T}
    H, rest = s.tab.H, 1.0 - share
    @inbounds for l in eachindex(u)
        sum = zero(T)
        for order in size(H, 1):-1:1
            part = zero(T)
            for i in 1:STAGES
                part = fused(H[order, i], s.k[i, l], part)
            end
            sum = fused(share, sum, part)
        end
        u[l] = rest * s.u[l] + share * (s.next[l] + rest * sum)
    end
    return u
end

"The lanes whose guards do not hold at the ends of their steps."
function outside_lanes(s::Stepper{T}) where {T}
    w, found = s.work, mask_type(T)(false)
    set_point!(w, s.next, load_lanes(T, s.t) + load_lanes(T, s.h))
    for (k, x) in zip(w.model.guards, w.guards)
        value!(k, x.out, gather!(x.x, w.v, k, 1:k.along))
        for i in 1:items(k)
            found |= !inside(x.out[i, 1], x.out[i, 2], x.out[i, 3], s.settings.rtol, s.settings.atol)
        end
    end
    return found
end

"The code of the guard that does not hold in a lane."
function range_left(s::Stepper, l)
    w = s.work
    for (number, k, x) in zip(eachindex(w.guards), w.model.guards, w.guards), i in 1:items(k)
        low, value, high = ntuple(c -> get_lane(x.out, i + (c - 1) * items(k), l), 3)
        inside(low, value, high, s.settings.rtol, s.settings.atol) ||
            return out_of_range(number - 1, i - 1, low, value, high, s.t[l])
    end
end

tableau(s::Stepper) = s.tab
work_of(s::Stepper) = s.work

function again(s::Stepper{Float64}, breaks, f, kept::MemberRecord, y, block, settings::Settings)
    m = s.work.model
    y_again, q_again = zeros(m.n_states, length(breaks), 1), zeros(m.n_fluxes, length(breaks) - 1, 1)
    y_again[:, first(block), 1] .= view(y, :, first(block))
    batch = Batch(breaks, reshape(s.work.v[parameters(m)], :, 1), reshape(Array(f), size(f)..., 1), y_again, q_again, block)
    copy!(s.first_steps, kept.initial_steps)
    members, found = Iterators.Stateful(1), Ref{SmallRecord}()
    solve_members!(s, batch, () -> isempty(members) ? 0 : popfirst!(members), (_, lane, code) -> begin
        code === :Success || throw(Failure(code))
        found[] = copy(lane.record)
    end)
    return found[]
end

# The stages of a step that were not kept.

function stages_of(r::SmallRecord, step, s::Stepper{Float64})
    w, start, t, h = s.work, point(r, step), r.starts[step], r.sizes[step]
    jacobian!(set_point!(w, start, t))
    factorise!(set_matrix!(s.space.factors, w, inv(s.tab.gamma * h)))
    return stages!(view(s.k, :, 1:r.n), s.space, w, s.tab, start, t, h)
end

"What going back through steps of few states solves with."
struct SmallSolver{S}
    space::S
end

divide_transposed_step!(s::SmallSolver, x) = divide_transposed!(x, s.space.factors)
