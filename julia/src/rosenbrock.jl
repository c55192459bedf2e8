# Steps of systems of few states, of one member or of several in lockstep: method and control are
# those of the solver that larger systems go to, without what surrounds it there, which takes longer than the arithmetic of a
# few states; where tolerances are loose, the method is one of lower order (`rodas.jl`). Each lane has a member, an interval and a step of its own; a lane whose member has come to its end takes
# the next one. No number of a lane goes into another: a member is solved as if it were alone.

"Up to this number of states systems are solved here."
const SMALL = 12

is_small(m::Model) = m.n_states <= SMALL

# Control of the size of steps by the error of the last two (Gustafsson 1994, ACM Trans. Math. Softw. 20; as in Hairer and
# Wanner 1996, IV.8): the safety factor, and by how much to shrink or to grow at most.
const SAFETY, SHRINK, GROW = 0.9, 10.0, 6.0

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
    rates::Vector{Vector{T}}        # at each point
    fluxes::Matrix{T}               # what a step gives integrated fluxes, and its error, (2, fluxes)
    time_rates::Vector{T}
    right::Vector{T}
end

function StepSpace{T}(m::Model) where {T}
    n, total, rows = m.n_states, size_of(m), rowvals(m.pattern)
    border = [(at, rows[at], column) for column in 1:n for at in nzrange(m.pattern, column) if rows[at] > n]
    return StepSpace(SmallFactors{T}(n), border, zeros(T, n), [zeros(T, total) for _ in 1:STAGES], zeros(T, 2, m.n_fluxes), zeros(T, total),
                     zeros(T, n))
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
    k::Matrix{T}                    # (stages, states)
    curve::Matrix{T}                # of the last step, between its ends
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
    set_tolerances!(w, s).resolution = s.rtol
    some(value) = fill(value, L)
    tab = method_of(s.solver)
    return Stepper(w, tab, s, keeps, first_steps, StepSpace{T}(m), zeros(T, total), zeros(T, total), zeros(T, stage_count(tab), n),
                   zeros(T, size(tab.H, 1), n), [Lane(n) for _ in 1:L], some(0.0), some(1.0), some(0.0), some(1.0), Turned(T, m))
end

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
factorised. What the step gives integrated fluxes is added up where `counts` says so; networks keep what they compute where
`keeps` does.
"""
function stages!(k, c::StepSpace{T}, w::Work{T}, tab::Rodas{N}, start, t, h; counts = false, keeps = false) where {T,N}
    n, total, right, inverse = w.model.n_states, size_of(w.model), c.right, inv(h)
    w.linear && time_rates!(c.time_rates, w)
    counts && fill!(c.fluxes, zero(T))
    for i in 1:N
        point = tab.points[i]
        rates = c.rates[point]
        if i == 1
            known_rates!(rates, w)
        elseif tab.opens[i]
            set_point!(w, stage_point!(c.at, start, k, tab.A, i), fused(tab.c[i], h, t))
            keeps && (forget!(w); w.point = point)
            rates!(rates, w)
        end
        moved = h * tab.d[i]
        @inbounds for l in 1:n
            sum = zero(T)
            for j in 1:i-1
                sum = fused(tab.C[i, j], k[j, l], sum)
            end
            rate = fused(inverse, sum, rates[l])
            w.linear && (rate = fused(moved, c.time_rates[l], rate))
            right[l] = -rate
        end
        divide!(right, c.factors)
        @inbounds for l in 1:n
            k[i, l] = right[l]
        end
        counts || continue
        @inbounds for l in n+1:total
            rate = w.linear ? fused(moved, c.time_rates[l], rates[l]) : rates[l]
            c.fluxes[1, l-n] = fused(tab.beta[i], rate, c.fluxes[1, l-n])
            c.fluxes[2, l-n] = fused(tab.beta_tilde[i], rate, c.fluxes[2, l-n])
        end
    end
    w.point = 0
    counts && count_stages!(c, k, w, tab, tab.gamma * h)
    return k
end

"Adds what the stages of the states give integrated fluxes through the Jacobian."
function count_stages!(c::StepSpace{T}, k, w::Work{T}, tab::Rodas{N}, gamma_h) where {T,N}
    n, weights = w.model.n_states, (tab.beta, tab.beta_tilde)
    for which in 1:2
        @inbounds for l in 1:n
            sum = zero(T)
            for i in 1:N
                sum = fused(weights[which][i], k[i, l], sum)
            end
            c.right[l] = sum
        end
        @inbounds for (at, flux, state) in c.border
            c.fluxes[which, flux-n] = fused(w.entries[at], c.right[state], c.fluxes[which, flux-n])
        end
    end
    c.fluxes .*= gamma_h
    return nothing
end

"Computes a step of all lanes, its error, and what that says about the next one."
function attempt!(s::Stepper{T}) where {T}
    w, tab, k = s.work, s.tab, s.k
    n, total = w.model.n_states, size_of(w.model)
    t, h = load_lanes(T, s.t), load_lanes(T, s.h)
    jacobian!(set_point!(w, s.u, t))
    note_sides!(w)
    emphasise!(w, s.u)
    factorise!(set_matrix!(s.space.factors, w, inv(tab.gamma * h)))
    stages!(k, s.space, w, tab, s.u, t, h; counts = true)
    # The emphasis knows of each state's own, where they differ.
    sum, abstol = zero(T), isempty(w.atols) ? w.atol : maximum(w.atols)
    @inbounds for l in 1:total
        new, wrong = s.u[l], zero(T)
        if l <= n
            for i in 1:stage_count(tab)
                new = fused(tab.b[i], k[i, l], new)
                wrong = fused(tab.btilde[i], k[i, l], wrong)
            end
        else
            new, wrong = new + s.space.fluxes[1, l-n], s.space.fluxes[2, l-n]
        end
        s.next[l] = new
        tolerance = fused(w.rtol, greater(abs(s.u[l]), abs(new)), abstol)
        sum += abs2(w.emphasis[l] * wrong / tolerance)
    end
    found = root(sum / total)
    store_lanes!(s.error, found)
    store_lanes!(s.quotient, exponential(logarithm(found) / tab.order))
    return nothing
end

"A first step for lanes that have none, from how fast the rates change (Hairer, Norsett and Wanner 1993, II.4)."
function find_first_steps!(s::Stepper{T}) where {T}
    w, total = s.work, size_of(s.work.model)
    size(x) = (sum = zero(T); for l in 1:total sum += abs2(x(l) / (w.atol + w.rtol * abs(s.u[l]))) end; root(sum / total))
    t = load_lanes(T, s.t)
    rates, later = s.space.rates[1], s.space.time_rates
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
    second = pick(most <= 1e-15, greater(T(1e-6), 1e-3 * try_first), exponential(logarithm(0.01 / most) / (s.tab.order + 1)))
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

function again(s::Stepper{Float64}, breaks, f, kept::MemberRecord, y, block, settings::Settings; sparing = true)
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
    w, start, t, h = s.work, point(r, step), start_of(r, step), size_of_step(r, step)
    jacobian!(set_point!(w, start, t))
    factorise!(set_matrix!(s.space.factors, w, inv(s.tab.gamma * h)))
    return stages!(s.k, s.space, w, s.tab, start, t, h)
end

"What going back through steps of few states solves with."
struct SmallSolver{S}
    space::S
end

divide_transposed_step!(s::SmallSolver, x) = divide_transposed!(x, s.space.factors)
