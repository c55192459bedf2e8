# The discrete adjoint of Rodas5P and Rodas3P: the exact gradient of the numbers that the solver computed, for the
# steps it took. A step of size h from u, with J the Jacobian and T the rate of change with time there,
#
#     (J - I/(gamma h)) k_i = -( f(u + sum_j A_ij k_j, t + c_i h) + h d_i T + sum_j C_ij/h k_j ),
#     u_next = u + sum_i b_i k_i
#
# (Steinebach 2023, BIT 63, 27; in the form of Hairer and Wanner 1996, IV.7), is gone through backwards:
# a transposed solve and a product with the transposed Jacobian for each stage, and then, because J
# depends on u and on the parameters, the gradient of sum_i nu_i' J k_i for all stages at once.

"What going back through a step reads and overwrites."
struct StepAdjoint{T,S,N}
    work::Work{T}
    tab::Rodas{N}
    solver::S                     # with the matrix of the step and its transpose (`step_matrix.jl`)
    k::Matrix{T}                  # (stages, states): of a step whose stages are computed again
    k_bar::Matrix{T}              # (states, stages)
    nu::Matrix{T}                 # (stages, rates): gradients to the right-hand sides of the stages
    value_k::Matrix{T}            # (stages, assigned values): how they move along k
    value_nu::Matrix{T}           # and the gradients to that
    border::Vector{T}             # gradient to the states through the integrated fluxes
    u::Vector{T}
    rates_bar::Vector{Vector{T}}  # of each point; the first also holds rates, as stages are computed again
    bar::Vector{T}
    forcing_rate::Vector{T}
    forcing_rate_bar::Vector{T}
end

function StepAdjoint(w::Work{T}, solver, tab::Rodas{N}) where {T,N}
    m = w.model
    assigned = m.n_values - m.base
    rates() = zeros(T, size_of(m))
    # Where no stages are at one point, one vector does for all.
    bars = allunique(tab.points) ? fill(rates(), N) : [rates() for _ in 1:maximum(tab.points)]
    return StepAdjoint(w, tab, solver, zeros(T, N, m.n_states), zeros(T, m.n_states, N), zeros(T, N, size_of(m)),
                       zeros(T, N, assigned), zeros(T, N, assigned), zeros(T, m.n_states), zeros(T, m.n_states), bars,
                       zeros(T, m.n_values), zeros(T, m.n_forcings), zeros(T, m.n_forcings))
end

set_matrix!(s::SmallSolver, w::Work, shift) = factorise!(set_matrix!(s.space.factors, w, shift))

"Sets the matrix `J - I shift` of a step, and what integrated fluxes give to the states."
function set_matrix!(a::StepAdjoint, q_bar, shift)
    w, m = a.work, a.work.model
    set_matrix!(a.solver, w, shift)
    rows = rowvals(m.pattern)
    fill!(a.border, zero(eltype(a.border)))
    @inbounds for column in 1:m.n_states, at in nzrange(m.pattern, column)
        rows[at] > m.n_states && (a.border[column] += w.entries[at] * q_bar[rows[at]-m.n_states])
    end
    return nothing
end

"Puts the matrix of the step of size `h` from `start` at time `t` together; slopes and the point set are those there."
function begin_step!(a::StepAdjoint, q_bar, start, t, h)
    jacobian!(set_point!(a.work, start, t))
    set_matrix!(a, q_bar, 1 / (a.tab.gamma * h))
    return nothing
end

"Computes the stages of a step that has begun."
stages_again!(a::StepAdjoint{T,<:SmallSolver}, start, t, h) where {T} =
    stages!(a.k, a.solver.space, a.work, a.tab, start, t, h; keeps = true)

function stages_again!(a::StepAdjoint, start, t, h)
    w, rates, tab = a.work, a.rates_bar[1], a.tab
    trend = view(a.bar, 1:size_of(w.model))
    w.linear && time_rates!(trend, w)
    for i in 1:stage_count(tab)
        stage_point!(a.u, start, a.k, tab.A, i)
        rates!(rates, set_point!(w, a.u, t + tab.c[i] * h))
        share = w.linear ? h * tab.d[i] : 0.0
        @inbounds for l in eachindex(a.u)
            right = share == 0 ? rates[l] : muladd(share, trend[l], rates[l])
            for j in 1:i-1
                right = muladd(tab.C[i, j] / h, a.k[j, l], right)
            end
            a.u[l] = -right
        end
        k = divide_step!(a.solver, a.u)
        @inbounds for l in eachindex(a.u)
            a.k[i, l] = k[l]
        end
    end
    return a.k
end

"Have networks kept what they computed at the stages of the step?"
keeps_points(a::StepAdjoint) = a.solver isa SmallSolver

"Takes `lambda`, the gradient to the states, from the end of a step of size `h` that has begun to its start at time `t`."
function step_adjoint!(lambda, q_bar, f_bar, a::StepAdjoint{T,S,N}, start, k, t, h) where {T,S,N}
    w, m, n, tab, beta = a.work, a.work.model, a.work.model.n_states, a.tab, a.tab.beta
    gamma_h = tab.gamma * h
    @inbounds for i in 1:N, l in 1:n
        a.k_bar[l, i] = tab.b[i] * lambda[l]
    end
    for i in N:-1:1
        point = tab.points[i]
        first, last, rates_bar = tab.opens[i], tab.closes[i], a.rates_bar[point]
        @inbounds for l in 1:n
            a.u[l] = (-gamma_h * beta[i]) * a.border[l] - a.k_bar[l, i]
        end
        nu = divide_transposed_step!(a.solver, a.u)
        @inbounds for l in 1:n
            a.nu[i, l] = nu[l]
        end
        @inbounds for l in eachindex(q_bar)
            a.nu[i, n+l] = gamma_h * beta[i] * q_bar[l]
        end
        @inbounds for l in eachindex(rates_bar)
            rates_bar[l] = last ? a.nu[i, l] : rates_bar[l] + a.nu[i, l]
        end
        if !first
            # What its point gives comes with the first stage there, and goes to stages before that one.
            add_rows!(a.k_bar, a.nu, tab, i, h)
            continue
        end
        stage_point!(a.u, start, k, tab.A, i)
        keeps_points(a) && (w.point = point)
        pull!(a.bar, set_point!(w, a.u, t + tab.c[i] * h), rates_bar)
        add_rows!(lambda, a.k_bar, a.nu, a.bar, tab, i, h)
        add_forcing!(f_bar, a.bar, m, (t + tab.c[i] * h) / length_of(w))
    end
    # The last point was the start of the step again: what is bent is evaluated there.
    w.point = 0
    bend!(a.bar, a, k, h)
    @inbounds for l in 1:n
        lambda[l] += a.bar[l]
    end
    add_forcing!(f_bar, a.bar, m, t / length_of(w))
    if w.linear
        f_bar[:, 1] .-= a.forcing_rate_bar ./ length_of(w)
        f_bar[:, 2] .+= a.forcing_rate_bar ./ length_of(w)
    end
    return nothing
end

"Takes what a stage gives to the start of the step, and to the stages before it; loops, where calls of BLAS took longer."
function add_rows!(lambda, k_bar, nu, u_bar, tab, i, h)
    for j in 1:i-1
        c, a = tab.C[i, j] / h, tab.A[i, j]
        @inbounds @simd for l in eachindex(lambda)
            k_bar[l, j] += muladd(c, nu[i, l], a * u_bar[l])
        end
    end
    @inbounds @simd for l in eachindex(lambda)
        lambda[l] += u_bar[l]
    end
    return nothing
end

function add_rows!(k_bar, nu, tab, i, h)
    for j in 1:i-1
        c = tab.C[i, j] / h
        @inbounds @simd for l in axes(k_bar, 1)
            k_bar[l, j] = muladd(c, nu[i, l], k_bar[l, j])
        end
    end
    return nothing
end

function stage_point!(u, start, k, A, i)
    @inbounds for l in eachindex(u)
        sum = start[l]
        for j in 1:i-1
            sum = fused(A[i, j], k[j, l], sum)
        end
        u[l] = sum
    end
    return u
end

@inline stages(x, l, ::StepAdjoint{T,S,N}) where {T,S,N} = ntuple(i -> @inbounds(x[i, l]), Val(N))
@inline along(a::NTuple{N,Number8}, b::NTuple{N,Number8}) where {N} = sum(a .* b)
@inline function add!(x, l, amount::NTuple{N,Number8}) where {N}
    @inbounds for i in 1:N
        x[i, l] += amount[i]
    end
    return nothing
end

"""
Gradient of `sum_i nu_i' (J k_i + h d_i T)`, `J` and `T` as functions of states, forcings and parameters:
assigned to `bar` for states and forcings, added up in the work for parameters. Slopes of the kernels
must be those at the start of the step, and so must be the point set in the work.
"""
function bend!(bar, a::StepAdjoint{T,S,N}, k, h) where {T,S,N}
    w, m = a.work, a.work.model
    weights = ntuple(i -> h * a.tab.d[i], Val(N))
    nothing_yet = zero(eltype(bar))
    fill!(a.value_k, nothing_yet)
    fill!(a.value_nu, nothing_yet)
    fill!(a.forcing_rate_bar, nothing_yet)
    w.linear && (a.forcing_rate .= (w.finish .- w.start) ./ length_of(w))
    for (kernel, s) in zip(m.stages, w.stages)
        move!(a, kernel, s, k, weights)
    end
    fill!(bar, nothing_yet)
    for (kernel, s) in zip(m.kernels, w.kernels)
        bend!(bar, a, kernel, s, a.nu, 0, k, weights)
    end
    for at in reverse(eachindex(m.stages))
        bend!(bar, a, m.stages[at], w.stages[at], a.value_nu, m.base, k, weights)
        m.stages[at].network === nothing && pull_stage!(bar, w, at)
    end
    return bar
end

"How the values of a stage move along the stages of the step and, by `weights`, with the forcing."
function move!(a::StepAdjoint, kernel::Kernel, s::Space, k, weights)
    m = a.work.model
    first_forcing = m.n_states + m.n_parameters
    for scatter in axes(kernel.targets, 2), j in 1:(a.work.linear ? kernel.ways : kernel.active)
        column = (kernel.output[scatter] - 1) * kernel.ways + j
        @inbounds for i in 1:items(kernel)
            position = kernel.gather[i, j]
            moved = position <= m.n_states ? stages(k, position, a) :
                    position > m.base ? stages(a.value_k, position - m.base, a) : weights .* a.forcing_rate[position-first_forcing]
            add!(a.value_k, kernel.targets[i, scatter] - m.base, (kernel.weights[i, scatter] * s.slopes[i, column]) .* moved)
        end
    end
    return nothing
end

"The share of one kernel, whose results have the gradients `nu` from column `before + 1` on; its inputs get theirs."
function bend!(bar, a::StepAdjoint, kernel::Kernel, s::Space, nu_of, before, k, weights)
    m = a.work.model
    first_forcing = m.n_states + m.n_parameters
    fill!(s.bent, zero(eltype(s.bent)))
    for scatter in axes(kernel.targets, 2), j in 1:(a.work.linear ? kernel.ways : kernel.active)
        column = (kernel.output[scatter] - 1) * kernel.ways + j
        @inbounds for i in 1:items(kernel)
            nu = kernel.weights[i, scatter] .* stages(nu_of, kernel.targets[i, scatter] - before, a)
            position = kernel.gather[i, j]
            if position <= m.n_states
                s.bent[i, column] += along(nu, stages(k, position, a))
            elseif position > m.base
                s.bent[i, column] += along(nu, stages(a.value_k, position - m.base, a))
                add!(a.value_nu, position - m.base, s.slopes[i, column] .* nu)
            else
                rate = along(nu, weights)
                s.bent[i, column] += rate * a.forcing_rate[position-first_forcing]
                a.forcing_rate_bar[position-first_forcing] += rate * s.slopes[i, column]
            end
        end
    end
    if kernel.network === nothing
        bend!(kernel, s.bars, s.bent, s.x)
    else
        # The gradients to its results, and what is left of those to its weights, go along.
        bend!(kernel.network, s.bars, s.bent, seed!(s.seeds, bar, kernel), s.x, keeps_points(a) && kernel.network.points == STAGES ? maximum(a.tab.points) : 0)
    end
    scatter_bars!(bar, s.bars, kernel, 1:kernel.along)
    return nothing
end

"""
Pulls `y_bar` `(states, breaks)` and `q_bar` `(fluxes, intervals)` of one member back through the steps
that were kept, or are taken again from `y`; fills in `y0_bar`, `p_bar` and `f_bar`.
"""
function adjoint!(y0_bar, p_bar, f_bar, workspace::Workspace, breaks, p, f, kept::MemberRecord, y, y_bar, q_bar, s::Settings)
    set_parameters!(workspace.along.work, p)
    pull_steps!(y0_bar, p_bar, f_bar, workspace.along, workspace.integrator, breaks, f, kept, y, y_bar, q_bar, s)
end

function pull_steps!(y0_bar, p_bar, f_bar, a, integrator, breaks, f, kept, y, y_bar, q_bar, s)
    w, n = a.work, a.work.model.n_states
    lambda = zeros(n)
    sides = w.model.decisions ? Sides(w.model) : nothing
    for block in blocks(kept, n, s.memory; sparing = true)
        record = kept.record === nothing ? again(integrator, breaks, f, kept, y, block, s; sparing = true) : kept.record
        for j in reverse(block)
            lambda .+= view(y_bar, :, j + 1)
            seeds = view(q_bar, :, j)
            all(iszero, lambda) && all(iszero, seeds) && continue
            set_interval!(w, view(f, :, :, j), breaks[j+1] - breaks[j])
            at = j - first(block) + 1
            for step in record.first[at+1]-1:-1:record.first[at]
                tick!(w)
                t, h, start = start_of(record, step), size_of_step(record, step), point(record, step)
                if sides !== nothing && short(w, h)
                    for turn in reverse(turns(w, sides, start, finish_of(record, step, at, y, j), t, h))
                        pull_turn!(lambda, seeds, view(f_bar, :, :, j), a.bar, turn, w, start, t)
                    end
                end
                begin_step!(a, seeds, start, t, h)
                k = record isa SmallRecord || spared(record) ? stages_again!(a, start, t, h) : stages_of(record, step)
                step_adjoint!(lambda, seeds, view(f_bar, :, :, j), a, start, k, t, h)
            end
        end
    end
    collect_parameters!(p_bar, a.bar, w)
    y0_bar .= lambda .+ view(y_bar, :, 1)
    all(isfinite, y0_bar) && all(isfinite, p_bar) && all(isfinite, f_bar) || throw(Failure(:NotFinite))
    return nothing
end
