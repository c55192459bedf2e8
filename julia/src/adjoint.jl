# The Gauss adjoint (Norcliffe and Deisenroth 2023, "Faster training of neural ODEs using Gauss-Legendre
# quadrature"): the adjoint equation
#
#     d(lambda)/dt = -(df/dy)' lambda - (dq/dy)' mu
#
# is solved backwards by a stiff solver, and the gradients to parameters and forcings, integrals of
# `[lambda; mu]' d(rates)/d(p, f)`, are summed by Gauss quadrature over its accepted steps. `mu`, the
# gradient to the integrated fluxes, is constant in an interval. The Jacobian at a time serves the
# right-hand side, the Newton matrix and every iteration at that time.

mutable struct AdjointWork{S}
    const work::Work{Float64}
    const sol::S
    const u::Vector{Float64}
    const negative::SparseMatrixCSC{Float64,Int}   # -(df/dy)', states by states
    const places::Vector{Int}                      # where each entry of `negative` is in the entries
    const inhomogeneous::Vector{Float64}           # -(dq/dy)' mu
    const mu::Vector{Float64}
    time::Float64
end

"The pattern of the transposed Jacobian of the states alone, and where its values come from."
function transposed_pattern(model::Model)
    n = model.n_states
    numbered = SparseMatrixCSC(size(model.pattern)..., model.pattern.colptr, model.pattern.rowval,
                               collect(1:nnz(model.pattern)))
    turned = sparse(transpose(numbered[1:n, 1:n]))
    return SparseMatrixCSC(n, n, turned.colptr, turned.rowval, zeros(nnz(turned))), nonzeros(turned)
end

function refresh!(a::AdjointWork, t)
    t == a.time && return a
    w, m = a.work, a.work.model
    a.sol(a.u, t)
    m.jacobian!(w.entries, set_point!(w, a.u, t), w.slopes)
    values = nonzeros(a.negative)
    @inbounds for i in eachindex(values)
        values[i] = -w.entries[a.places[i]]
    end
    rows, n = rowvals(m.pattern), m.n_states
    @inbounds for column in 1:n
        sum = 0.0
        for at in nzrange(m.pattern, column)
            rows[at] > n && (sum -= w.entries[at] * a.mu[rows[at]-n])
        end
        a.inhomogeneous[column] = sum
    end
    a.time = t
    return a
end

function adjoint_rhs!(out, lambda, a::AdjointWork, t)
    refresh!(a, t)
    mul!(out, a.negative, lambda)
    out .+= a.inhomogeneous
    return nothing
end

function adjoint_jac!(J, lambda, a::AdjointWork, t)
    refresh!(a, t)
    fill_entries!(J, a.negative, nonzeros(a.negative))
    return nothing
end

# Gauss-Legendre on [0, 1], exact up to order five, like the solvers.
const NODES = (0.5 - sqrt(0.15), 0.5, 0.5 + sqrt(0.15))
const WEIGHTS = (5 / 18, 8 / 18, 5 / 18)

"""
Takes `lambda` from the end of an interval to its start, and adds to `p_bar` and `f_bar`. `lambda` and
`mu` should be of size one, which makes absolute tolerances mean the same for every loss.
"""
function adjoint_interval!(lambda, p_bar, f_bar, a::AdjointWork, alg, s::Settings)
    m, w = a.work.model, a.work
    f = ODEFunction{true,SciMLBase.FullSpecialize}(adjoint_rhs!; jac = adjoint_jac!,
                                                   jac_prototype = prototype(a.negative, Float64))
    problem = ODEProblem{true,SciMLBase.FullSpecialize}(f, copy(lambda), (w.t1, w.t0), a)
    integrator = init(problem, alg; reltol = s.rtol, abstol = s.atol, maxiters = s.max_steps,
                      save_everystep = false, save_start = false, dense = true, verbose = false)
    rates_bar, bar = zeros(size_of(m)), zeros(m.n_values)
    rates_bar[m.n_states+1:end] .= a.mu
    here = view(rates_bar, 1:m.n_states)
    node = zeros(m.n_states)
    while integrator.t > w.t0
        step!(integrator)
        check(SciMLBase.check_error(integrator))
        h = integrator.tprev - integrator.t
        for (x, weight) in zip(NODES, WEIGHTS)
            t = integrator.t + x * h
            integrator(node, t)
            here .= node
            a.sol(a.u, t)
            m.pull!(bar, set_point!(w, a.u, t), rates_bar)
            p_bar .+= (weight * h) .* view(bar, parameters(m))
            add_forcing!(f_bar, view(bar, forcings(m)), weight * h, (t - w.t0) / (w.t1 - w.t0))
        end
        a.time = NaN   # `v` was moved to the nodes
    end
    lambda .= integrator.u
    all(isfinite, lambda) || throw(Failure(:NotFinite))
    return lambda
end

"Adds a gradient to the forcing at fraction `x` of the interval to the gradients at its ends."
function add_forcing!(f_bar, bar, weight, x)
    if size(f_bar, 2) == 1
        f_bar[:, 1] .+= weight .* bar
    else
        f_bar[:, 1] .+= (weight * (1 - x)) .* bar
        f_bar[:, 2] .+= (weight * x) .* bar
    end
    return f_bar
end

"""
Pulls `y_bar` `(states, breaks)` and `q_bar` `(fluxes, intervals)` of one member back through the dense
solutions `kept` of its intervals; fills in `y0_bar`, `p_bar` and `f_bar`.
"""
function adjoint!(y0_bar, p_bar, f_bar, model::Model, breaks, p, f, kept, y_bar, q_bar, s::Settings)
    return with_solver(s.solver, model.n_states) do alg
        adjoint!(y0_bar, p_bar, f_bar, model, breaks, p, f, kept, y_bar, q_bar, s, alg)
    end
end

function adjoint!(y0_bar, p_bar, f_bar, model, breaks, p, f, kept, y_bar, q_bar, s, alg)
    w = Work{Float64}(model, size(f, 2) == 2)
    w.v[parameters(model)] .= p
    lambda = zeros(model.n_states)
    negative, places = transposed_pattern(model)
    u, inhomogeneous = zeros(size_of(model)), zeros(model.n_states)
    p_interval, f_interval = zeros(model.n_parameters), zeros(size(f, 1), size(f, 2))
    for j in length(breaks)-1:-1:1
        lambda .+= view(y_bar, :, j + 1)
        size = max(maximum(abs, lambda), maximum(abs, view(q_bar, :, j); init = 0.0))
        size == 0 && continue
        set_interval!(w, view(f, :, :, j), breaks[j], breaks[j+1])
        a = AdjointWork(w, kept[j], u, negative, places, inhomogeneous, q_bar[:, j] ./ size, NaN)
        lambda ./= size
        fill!(p_interval, 0.0)
        fill!(f_interval, 0.0)
        adjoint_interval!(lambda, p_interval, f_interval, a, alg, s)
        lambda .*= size
        p_bar .+= size .* p_interval
        f_bar[:, :, j] .= size .* f_interval
    end
    y0_bar .= lambda .+ view(y_bar, :, 1)
    return nothing
end
