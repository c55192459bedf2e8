# The Gauss adjoint (Norcliffe and Deisenroth 2023, "Faster training of neural ODEs using Gauss-Legendre
# quadrature"): the adjoint equation
#
#     d(lambda)/dt = -(df/dy)' lambda - (dq/dy)' mu
#
# is solved backwards by a stiff solver, and the gradients to parameters and forcings, integrals of
# `[lambda; mu]' d(rates)/d(p, f)`, are summed by Gauss quadrature over its accepted steps. `mu`, the
# gradient to the integrated fluxes, is constant in an interval. The Jacobian at a time serves the
# right-hand side, the Newton matrix and every iteration at that time.

"The coefficients of the adjoint equation at one time."
mutable struct Coefficients
    const matrix::SparseMatrixCSC{Float64,Int}   # -(df/dy)'
    const constant::Vector{Float64}              # -(dq/dy)' mu
    time::Float64
end

Coefficients(m::Model) = Coefficients(copy(m.transposed), zeros(m.n_states), NaN)

mutable struct AdjointWork{S}
    const work::Work{Float64}
    sol::S                         # dense solution of the interval
    const mu::Vector{Float64}
    const at::Coefficients
    const beside::Coefficients     # a little later, for the rate of change with time
    const u::Vector{Float64}
    const scratch::Vector{Float64}
    const rates_bar::Vector{Float64}
    const bar::Vector{Float64}
end

function AdjointWork(w::Work{Float64}, sol)
    m = w.model
    return AdjointWork(w, sol, zeros(m.n_fluxes), Coefficients(m), Coefficients(m), zeros(size_of(m)),
                       zeros(m.n_states), zeros(size_of(m)), zeros(m.n_values))
end

function evaluate!(c::Coefficients, a::AdjointWork, t)
    t == c.time && return c
    w, m = a.work, a.work.model
    a.sol(a.u, t)
    jacobian!(set_point!(w, a.u, t))
    values = nonzeros(c.matrix)
    @inbounds for i in eachindex(values)
        values[i] = -w.entries[m.places[i]]
    end
    rows, n = rowvals(m.pattern), m.n_states
    @inbounds for column in 1:n
        sum = 0.0
        for at in nzrange(m.pattern, column)
            rows[at] > n && (sum -= w.entries[at] * a.mu[rows[at]-n])
        end
        c.constant[column] = sum
    end
    c.time = t
    return c
end

function apply!(out, c::Coefficients, lambda)
    mul!(out, c.matrix, lambda)
    out .+= c.constant
    return out
end

function adjoint_rhs!(out, lambda, a::AdjointWork, t)
    apply!(out, evaluate!(a.at, a, t), lambda)
    return nothing
end

"Rate of change of the right-hand side with time alone, by a difference within the interval."
function adjoint_tgrad!(dT, lambda, a::AdjointWork, t)
    h = 1e-7 * a.work.length
    other = t - h > 0 ? t - h : t + h
    apply!(a.scratch, evaluate!(a.at, a, t), lambda)
    apply!(dT, evaluate!(a.beside, a, other), lambda)
    dT .= (dT .- a.scratch) ./ (other - t)
    return nothing
end

function adjoint_jac!(J, lambda, a::AdjointWork, t)
    c = evaluate!(a.at, a, t)
    fill_entries!(J, c.matrix, nonzeros(c.matrix))
    return nothing
end

# Gauss-Legendre on [0, 1] with three nodes. Two are of the order of the interpolants, but the steps of
# the adjoint solver are too long for them: the gradient lost a factor of three to five.
const NODES = (0.5 - sqrt(0.15), 0.5, 0.5 + sqrt(0.15))
const WEIGHTS = (5 / 18, 8 / 18, 5 / 18)

"""
Takes `lambda` from the end of the interval set in `a` to its start, and adds to `f_bar`; gradients to
parameters add up in the work. `lambda` and `mu` should be of size one, which makes absolute tolerances
mean the same for every loss; gradients come out multiplied by `size`.
"""
function adjoint_interval!(lambda, f_bar, a::AdjointWork, size, alg, J, s::Settings)
    m, w = a.work.model, a.work
    integrator = adjoint_integrator(a, lambda, alg, J, s)
    while integrator.t > 0
        tick!(w)
        step!(integrator)
        check(SciMLBase.check_error(integrator))
        h = integrator.tprev - integrator.t
        for (x, weight) in zip(NODES, WEIGHTS)
            t = integrator.t + x * h
            integrator(a.scratch, t)
            # The product is linear in the gradient to the rates: the weight goes there.
            a.rates_bar[1:m.n_states] .= (size * weight * h) .* a.scratch
            a.rates_bar[m.n_states+1:end] .= (size * weight * h) .* a.mu
            a.sol(a.u, t)
            pull!(a.bar, set_point!(w, a.u, t), a.rates_bar)
            add_forcing!(f_bar, a.bar, m, t / w.length)
        end
    end
    lambda .= integrator.u
    all(isfinite, lambda) || throw(Failure(:NotFinite))
    return lambda
end

# A new integrator for every interval: a multistep method set back by `reinit!` keeps its old history.
function adjoint_integrator(a::AdjointWork, lambda, alg, J, s::Settings)
    f = ODEFunction{true,SciMLBase.FullSpecialize}(adjoint_rhs!; jac = adjoint_jac!, tgrad = adjoint_tgrad!,
                                                   jac_prototype = J)
    problem = ODEProblem{true,SciMLBase.FullSpecialize}(f, copy(lambda), (a.work.length, 0.0), a)
    return init(problem, alg; reltol = s.rtol, abstol = s.atol, maxiters = s.max_steps, save_everystep = false,
                save_start = false, save_end = false, dense = true, verbose = QUIET)
end

"Adds a gradient to the forcing at fraction `x` of the interval to the gradients at its ends."
function add_forcing!(f_bar, bar, m::Model, x)
    before = m.n_states + m.n_parameters
    @inbounds for i in m.read
        if size(f_bar, 2) == 1
            f_bar[i, 1] += bar[before+i]
        else
            f_bar[i, 1] += (1 - x) * bar[before+i]
            f_bar[i, 2] += x * bar[before+i]
        end
    end
    return f_bar
end

"""
Pulls `y_bar` `(states, breaks)` and `q_bar` `(fluxes, intervals)` of one member back through the dense
solutions `kept` of its intervals; fills in `y0_bar`, `p_bar` and `f_bar`.
"""
function adjoint!(y0_bar, p_bar, f_bar, model::Model, breaks, p, f, kept::Vector, y_bar, q_bar, s::Settings,
                  clock = Clock())
    return with_solver(s.solver, model.transposed, Float64) do alg, J
        adjoint!(y0_bar, p_bar, f_bar, model, breaks, p, f, kept, y_bar, q_bar, s, clock, alg, J)
    end
end

function adjoint!(y0_bar, p_bar, f_bar, model, breaks, p, f, kept, y_bar, q_bar, s, clock, alg, J)
    w = set_parameters!(Work{Float64}(model, size(f, 2) == 2; adjoint = true, clock), p)
    lambda = zeros(model.n_states)
    a = AdjointWork(w, last(kept))
    for j in length(breaks)-1:-1:1
        lambda .+= view(y_bar, :, j + 1)
        size = max(maximum(abs, lambda), maximum(abs, view(q_bar, :, j); init = 0.0))
        size == 0 && continue
        set_interval!(w, view(f, :, :, j), breaks[j+1] - breaks[j])
        a.sol = kept[j]
        a.mu .= view(q_bar, :, j) ./ size
        a.at.time = a.beside.time = NaN
        lambda ./= size
        adjoint_interval!(lambda, view(f_bar, :, :, j), a, size, alg, J, s)
        lambda .*= size
    end
    collect_parameters!(p_bar, a.bar, w)
    y0_bar .= lambda .+ view(y_bar, :, 1)
    return nothing
end
