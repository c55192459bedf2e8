# The tangent of Rodas5P and Rodas3P: how the numbers that the solver computed move with its inputs, for the steps it
# took; the counterpart of the discrete adjoint. A stage of a step (`discrete_adjoint.jl`), differentiated, is
#
#     (J - I/(gamma h)) k_i' = -( f_i' + h d_i T' + sum_j C_ij/h k_j' + J' k_i ),
#
# where f_i', T' and J' are partials of dual numbers, in several directions at once. Sizes of the steps are
# fixed. Integrated fluxes act on nothing: their stages follow from those of the states.

"What going along a step in several directions reads and overwrites."
struct StepTangent{L,M,N}
    work::Work{DualNumber}
    tab::Rodas{N}
    linear::L                     # solves with the matrix of the step
    matrix::M
    values::SparseMatrixCSC{Float64,Int}
    places::Vector{Int}           # of these values among the entries of the Jacobian
    right::Matrix{Float64}        # (states, directions)
    k::Matrix{DualNumber}         # (stages, rates)
    u::Vector{DualNumber}         # states, and fluxes integrated since the start of the interval
    at::Vector{DualNumber}        # states at a stage
    rates::Vector{DualNumber}
    time_rates::Vector{DualNumber}
end

function StepTangent(m::Model, linear::Bool, directions::Int, tab::Rodas{N}) where {N}
    n, total, turned = m.n_states, size_of(m), m.transposed
    numbered = sparse(transpose(SparseMatrixCSC(n, n, turned.colptr, turned.rowval, m.places)))
    values = SparseMatrixCSC(n, n, numbered.colptr, numbered.rowval, zeros(nnz(numbered)))
    J, linsolve = prototype(values, Float64)
    # Its diagonal makes the first, never used, matrix regular.
    foreach(i -> J[i, i] = 1.0, 1:n)
    right = zeros(n, min(directions, PARTIALS))
    solver = init(SciMLBase.LinearProblem(J, copy(right); u0 = zero(right)), linsolve)
    duals(sizes...) = zeros(DualNumber, sizes...)
    return StepTangent(Work{DualNumber}(m, linear), tab, solver, J, values, nonzeros(numbered), right, duals(N, total),
                       duals(total), duals(n), duals(total), duals(total))
end

"Values with the partials of directions `low + 1`, ..., which are the last axis of `dots`; zero beyond the last."
function seeded(values, dots::AbstractArray{Float64,N}, low) where {N}
    partial(i, d) = low + d <= size(dots, N) ? dots[i, low+d] : 0.0
    return [DualNumber(values[i], ForwardDiff.Partials(ntuple(d -> partial(i, d), Val(PARTIALS)))) for i in CartesianIndices(values)]
end

function set_matrix!(a::StepTangent, shift)
    values, rows = nonzeros(a.values), rowvals(a.values)
    @inbounds for column in axes(a.values, 2), at in nzrange(a.values, column)
        values[at] = ForwardDiff.value(a.work.entries[a.places[at]]) - (rows[at] == column ? shift : 0.0)
    end
    fill_entries!(a.matrix, a.values, values)
    a.linear.A = a.matrix
    return nothing
end

"Adds the product of the Jacobian's rows in `range` with a stage to the rates."
function add_product!(a::StepTangent, range, stage)
    m = a.work.model
    rows = rowvals(m.pattern)
    @inbounds for column in 1:m.n_states, at in nzrange(m.pattern, column)
        row = rows[at]
        row in range && (a.rates[row] += a.work.entries[at] * stage[column])
    end
    return nothing
end

"Takes the partials of `a.u` from the start of a step of size `h` at time `t` to its end."
function step_tangent!(a::StepTangent, start, k, t, h)
    w, m, n, total, tab = a.work, a.work.model, a.work.model.n_states, size_of(a.work.model), a.tab
    for l in 1:n
        a.u[l] = DualNumber(start[l], ForwardDiff.partials(a.u[l]))
    end
    jacobian!(set_point!(w, a.u, t))
    gamma_h = tab.gamma * h
    set_matrix!(a, 1 / gamma_h)
    w.linear && time_rates!(a.time_rates, w)
    for i in 1:stage_count(tab)
        rates!(a.rates, set_point!(w, stage_point!(a.at, a.u, a.k, tab.A, i), t + tab.c[i] * h))
        @inbounds for l in 1:total
            w.linear && (a.rates[l] += h * tab.d[i] * a.time_rates[l])
            for j in 1:i-1
                a.rates[l] += tab.C[i, j] / h * a.k[j, l]
            end
        end
        add_product!(a, 1:n, view(k, i, :))
        @inbounds for d in axes(a.right, 2), l in 1:n
            a.right[l, d] = -ForwardDiff.partials(a.rates[l], d)
        end
        a.linear.b = a.right
        found = SciMLBase.solve!(a.linear).u
        @inbounds for l in 1:n
            a.k[i, l] = DualNumber(k[i, l], ForwardDiff.Partials(ntuple(d -> d <= size(found, 2) ? found[l, d] : 0.0, Val(PARTIALS))))
        end
        add_product!(a, n+1:total, view(a.k, i, :))
        @inbounds for l in n+1:total
            a.k[i, l] = gamma_h * a.rates[l]
        end
    end
    @inbounds for l in 1:total, i in 1:stage_count(tab)
        a.u[l] += tab.b[i] * a.k[i, l]
    end
    return nothing
end

"""
Pushes the directions of one member through the steps that were kept, or are taken again from `y`. Fills in
`y_dot` `(states, breaks, directions)`, given its first column, and `q_dot` `(fluxes, intervals, directions)`.
"""
function tangent!(y_dot, q_dot, p_dot, f_dot, workspace::Workspace, breaks, p, f, kept::MemberRecord, y, s::Settings)
    set_parameters!(work_of(workspace.integrator), p)
    push_steps!(y_dot, q_dot, p_dot, f_dot, workspace.along, workspace.integrator, breaks, p, f, kept, y, s)
end

function push_steps!(y_dot, q_dot, p_dot, f_dot, a, integrator, breaks, p, f, kept, y, s)
    n, total = a.work.model.n_states, size_of(a.work.model)
    w = work_of(integrator)
    sides = w.model.decisions ? Sides(w.model) : nothing
    for block in Iterators.reverse(blocks(kept, n, s.memory))
        record = kept.record === nothing || spared(kept.record) ? again(integrator, breaks, f, kept, y, block, s) : kept.record
        for low in 0:PARTIALS:size(y_dot, 3)-1
            set_parameters!(a.work, seeded(p, p_dot, low))
            a.u[1:n] .= seeded(view(y, :, first(block)), view(y_dot, :, first(block), :), low)
            for (at, j) in enumerate(block)
                set_interval!(a.work, seeded(view(f, :, :, j), view(f_dot, :, :, j, :), low), breaks[j+1] - breaks[j])
                set_interval!(w, view(f, :, :, j), breaks[j+1] - breaks[j])
                a.u[n+1:total] .= zero(DualNumber)
                for step in record.first[at]:record.first[at+1]-1
                    tick!(w)
                    t, h, start = start_of(record, step), size_of_step(record, step), point(record, step)
                    step_tangent!(a, start, record isa SmallRecord ? stages_of(record, step, integrator) : stages_of(record, step), t, h)
                    if sides !== nothing && short(w, h)
                        for turn in turns(w, sides, start, finish_of(record, step, at, y, j), t, h)
                            push_turn!(a.u, turn, a.work, start, t)
                        end
                    end
                end
                for d in 1:min(PARTIALS, size(y_dot, 3) - low)
                    y_dot[:, j+1, low+d] .= ForwardDiff.partials.(view(a.u, 1:n), d)
                    q_dot[:, j, low+d] .= ForwardDiff.partials.(view(a.u, n+1:total), d)
                end
            end
        end
    end
    all(isfinite, y_dot) && all(isfinite, q_dot) || throw(Failure(:NotFinite))
    return nothing
end
