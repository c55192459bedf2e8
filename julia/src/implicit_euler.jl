# Implicit Euler with steps of a stated size, as daily schemes of hydrology have it (Clark and Kavetski 2010, Water Resour.
# Res. 46, W10510): each step from u to u_next, with the forcing at its end,
#
#     u_next = u + h F(u_next),        q = h Q(u_next),
#
# is solved to rounding by Newton's method, and integrated fluxes q take its last correction along, so that balances
# close. The method is of first order, and nobody controls the error of its steps. Gradients are those of the steps: a
# transposed solve for each (`euler_derivatives.jl`).
#
# Each lane has a member, a step and an iteration of its own (`euler_members.jl`): a member of a small model needs as many
# iterations in lockstep as alone. Large systems are solved by the same functions, on plain numbers, of which one is a lane.

const EULER = "implicit_euler"

# Newton's method has converged where it corrects each state by no more than this share of it, which that last correction
# squares; or where what is left of the equation is no more than rounding: such a share of the terms that it is a sum of, and
# of the largest flux, since rain and infiltration cancel in the rate of ponded water.
const CORRECTION, ROUNDING, OF_FLUXES = 1e-10, 1e-13, 4e-15
# Iterations of one attempt, and of all attempts at one step.
const ATTEMPT_ITERATIONS, STEP_ITERATIONS = 15, 600
# Where an attempt fails, the same equation is solved with shorter steps, from the start on, each the guess of a longer one:
# by how much shorter, how short at the least, and by how much longer the next is.
const SHORTER, SHORTEST_SHARE, LONGER = 4.0, 1e-6, 3.0

"What a lane does: its member, or 0 for none, and how far it has come."
mutable struct EulerLane
    member::Int
    interval::Int
    step::Int               # of this interval,
    count::Int              # of so many,
    size::Float64           # of this size
    solved::Float64         # size of the longest shorter step that was solved, where the whole one failed,
    more::Float64           # and by how much longer the one is that is tried; 0 while it is the whole one
    iterations::Int         # of this attempt
    left::Int               # that are still allowed
    counts::Counts
    keeps::Bool
    record::SmallRecord     # with the states at the ends of steps
end

EulerLane(n::Int) = EulerLane(0, 0, 0, 0, 1.0, 0.0, 0.0, 0, 0, Counts(), false, SmallRecord(n))

"What steps read and overwrite."
struct EulerStepper{T,S}
    work::Work{T}
    settings::Settings
    keeps::Bool
    solver::S               # with J - I/h, of the states alone (`step_matrix.jl`)
    lanes::Vector{EulerLane}
    t::Vector{Float64}      # of each lane: the end of the step, since the start of the interval,
    h::Vector{Float64}      # and the size of what is tried
    start::Vector{T}        # of the step
    u::Vector{T}            # where it has come to
    best::Vector{T}         # the end of the longest step that was solved
    rates::Vector{T}
    right::Vector{T}        # what is left of the equation, over h
    terms::Vector{T}        # sizes of what that is a sum of
    change::Vector{T}
    fluxes::Vector{T}       # integrated over the step
end

function EulerStepper{T}(m::Model, linear::Bool, s::Settings, clock::Clock; keeps = false) where {T}
    w = set_tolerances!(Work{T}(m, linear; clock), s)
    states() = zeros(T, m.n_states)
    L = lanes(T)
    return EulerStepper(w, s, keeps, step_solver(T, m), [EulerLane(m.n_states) for _ in 1:L], zeros(L), ones(L), states(), states(),
                        states(), zeros(T, size_of(m)), states(), states(), states(), zeros(T, m.n_fluxes))
end

"What solves with the matrix of a step, and with its transpose."
function step_solver(::Type{T}, m::Model) where {T}
    is_small(m) && return SmallSolver(StepSpace{T}(m))
    fronts = fronts_of(m)
    # The barrier keeps what follows from being compiled for all of them at once.
    return Base.inferencebarrier(fronts === nothing ? BothFactors(m) : OneFactor(fronts, m))
end

divide_step!(s::SmallSolver, b) = divide!(b, s.space.factors)

"How many steps an interval is divided into: as few as are no longer than asked, all of one size."
steps_within(length, s::Settings) = max(1, ceil(Int, length / s.step - 1e-9))

"The lanes in which all numbers are finite."
function finite_lanes(x::AbstractVector{T}) where {T}
    found = mask_type(T)(true)
    for value in x
        found &= abs(value) < Inf
    end
    return found
end

"""
One correction of all lanes by Newton's method. Returns where rates were finite, where it could be made, and where it was the
last one.
"""
function correct!(e::EulerStepper{T}) where {T}
    w, u, none = e.work, e.u, mask_type(T)(false)
    h = load_lanes(T, e.h)
    jacobian!(set_point!(w, u, load_lanes(T, e.t)))
    known_rates!(e.rates, w)
    known = finite_lanes(e.rates)
    good = known & finite_lanes(w.entries)
    any_lane(good) || return known, none, none
    @inbounds for l in eachindex(u)
        e.right[l] = e.change[l] = (u[l] - e.start[l]) / h - e.rates[l]
    end
    change = divided(e, h)
    change === nothing && return known, none, none
    good &= finite_lanes(change)
    done = good & converged(e, change, h)
    integrate!(e, change, h)
    @inbounds for l in eachindex(u)
        u[l] += change[l]
    end
    return known, good, done
end

"What is left of the equation divided by the matrix; nothing where that is singular."
function divided(e::EulerStepper, h)
    try
        set_matrix!(e.solver, e.work, inv(h))
        return divide_step!(e.solver, e.change)
    catch failure
        failure isa SingularException || failure isa Failure && failure.code === :SingularMatrix || rethrow()
        return nothing
    end
end

"Where the last of the corrections by `change`, about to be taken, is small enough, or there was nothing to correct."
function converged(e::EulerStepper{T}, change, h) where {T}
    u, start = e.u, e.start
    settled(l) = abs(change[l]) <= CORRECTION * greater(abs(u[l] + change[l]), abs(start[l]))
    found = mask_type(T)(true)
    for l in eachindex(u)
        found &= settled(l)
    end
    any_lane(!found) || return found
    @inbounds for l in eachindex(u)
        e.terms[l] = (abs(u[l]) + abs(start[l])) / h
    end
    rows, entries, pattern = rowvals(e.work.model.pattern), e.work.entries, e.work.model.pattern
    @inbounds for column in eachindex(u), at in nzrange(pattern, column)
        rows[at] <= length(u) && (e.terms[rows[at]] += abs(entries[at] * u[column]))
    end
    largest, found = zero(T), mask_type(T)(true)
    for l in length(u)+1:length(e.rates)
        largest = greater(largest, abs(e.rates[l]))
    end
    for l in eachindex(u)
        found &= settled(l) | (abs(e.right[l]) <= ROUNDING * e.terms[l] + OF_FLUXES * largest)
    end
    return found
end

"Integrated fluxes at the end of a correction: linear, as that is, so that what states lose fluxes have, to rounding."
function integrate!(e::EulerStepper, change, h)
    m = e.work.model
    n, rows = m.n_states, rowvals(m.pattern)
    @inbounds for l in eachindex(e.fluxes)
        e.fluxes[l] = e.rates[n+l]
    end
    @inbounds for column in 1:n, at in nzrange(m.pattern, column)
        rows[at] > n && (e.fluxes[rows[at]-n] += e.work.entries[at] * change[column])
    end
    @inbounds for l in eachindex(e.fluxes)
        e.fluxes[l] *= h
    end
    return nothing
end
