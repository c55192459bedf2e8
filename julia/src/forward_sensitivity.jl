# Forward mode in each interval, reverse between intervals. Dual numbers through the solver give the
# derivative of the end of an interval to its start, parameters and forcings; going back is then a
# product of small matrices, whatever the number of intervals. Best for few states and parameters.

"""
Solves one member like `forward!` and returns the transition matrices
`d[states; fluxes]/d[start; parameters; forcings]`, `(states + fluxes, inputs, intervals)`.
"""
function forward_transitions!(y, q, model::Model, breaks, p, f, s::Settings, counts::Counts, clock = Clock())
    return with_solver(s.solver, model.pattern, DualNumber) do alg, J
        forward_transitions!(y, q, model, breaks, p, f, s, counts, clock, alg, J)
    end
end

inputs_of(model::Model, nodes::Int) = model.n_states + model.n_parameters + nodes * model.n_forcings

function forward_transitions!(y, q, model, breaks, p, f, s, counts, clock, alg, J)
    n, total, nodes = model.n_states, size_of(model), size(f, 2)
    inputs = inputs_of(model, nodes)
    w = set_tolerances!(Work{DualNumber}(model, nodes == 2; clock), s)
    transitions = zeros(total, inputs, length(breaks) - 1)
    for j in 1:length(breaks)-1, low in 0:PARTIALS:inputs-1
        point = vcat(y[:, j], p, vec(view(f, :, :, j)))
        x = [DualNumber(point[i], ForwardDiff.Partials(ntuple(l -> Float64(l == i - low), PARTIALS))) for i in 1:inputs]
        set_parameters!(w, view(x, n .+ (1:model.n_parameters)))
        set_interval!(w, reshape(view(x, n+model.n_parameters+1:inputs), :, nodes), breaks[j+1] - breaks[j])
        sol = solve_interval(w, vcat(x[1:n], zeros(DualNumber, model.n_fluxes)), alg, J, s, false, counts)
        finish = sol.u[end]
        if low == 0
            y[:, j+1] .= ForwardDiff.value.(view(finish, 1:n))
            q[:, j] .= ForwardDiff.value.(view(finish, n+1:total))
        end
        for i in low+1:min(low + PARTIALS, inputs), row in 1:total
            transitions[row, i, j] = ForwardDiff.partials(finish[row])[i-low]
        end
    end
    return transitions
end

"The reverse pass over the transition matrices of one member."
function pull_transitions!(y0_bar, p_bar, f_bar, model::Model, transitions, y_bar, q_bar)
    n, np = model.n_states, model.n_parameters
    lambda, seed = zeros(n), zeros(size_of(model))
    g = zeros(size(transitions, 2))
    for j in size(transitions, 3):-1:1
        lambda .+= view(y_bar, :, j + 1)
        seed[1:n] .= lambda
        seed[n+1:end] .= view(q_bar, :, j)
        mul!(g, transpose(view(transitions, :, :, j)), seed)
        lambda .= view(g, 1:n)
        p_bar .+= view(g, n .+ (1:np))
        f_bar[:, :, j] .= reshape(view(g, n+np+1:length(g)), size(f_bar, 1), size(f_bar, 2))
    end
    y0_bar .= lambda .+ view(y_bar, :, 1)
    return nothing
end

"Derivatives of one member along given directions, from its transition matrices; shapes as in `tangent.jl`."
function push_transitions!(y_dot, q_dot, p_dot, f_dot, model::Model, transitions)
    n = model.n_states
    for d in axes(y_dot, 3), j in axes(transitions, 3)
        moved = view(transitions, :, :, j) * vcat(y_dot[:, j, d], p_dot[:, d], vec(f_dot[:, :, j, d]))
        y_dot[:, j+1, d] .= view(moved, 1:n)
        q_dot[:, j, d] .= view(moved, n+1:length(moved))
    end
    return nothing
end
