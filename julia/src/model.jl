# A model: kernels, the pattern of their Jacobian, and what is computed from them. Kernels stand behind
# function wrappers of fixed signature, so that all this, and the solvers above it, are compiled once,
# with the package; a new model compiles its local functions only.

"A state whose error is controlled through an assigned value as well."
struct Control
    state::Int
    value::Int      # counted from the first assigned value; 0 for the state itself
    slope::Int      # place of its derivative to that state; 0 where it has none
    size::Float64
end

"""
    Model(n_states, n_parameters, n_forcings, n_fluxes, n_values, constants, stages, kernels, controls, guards)

A system of kernels, ready to be solved. Kernels in `stages` assign values, in order; those in `kernels` add to the rates.
`controls` are states, assigned values through which their error is controlled as well, and sizes of these. `guards` are kernels whose results are the lower bound, the value and
the upper bound of what must stay within its range.

- `pattern`: the sparse Jacobian of `[states; fluxes]`, square, with its diagonal.
- `transposed`: the pattern of the transposed Jacobian of the states alone; `places` says which entry of
  the Jacobian each of its values is.
"""
struct Model
    n_states::Int
    n_parameters::Int
    n_forcings::Int
    n_fluxes::Int
    n_values::Int
    constants::Vector{Float64}
    stages::Vector{Kernel}
    kernels::Vector{Kernel}
    base::Int                      # assigned values come after it in `v`
    depends::Dependence            # of assigned values on states
    stage_slots::Vector{Vector{Int}}   # per stage, where its contributions go in the derivatives of assigned values
    slots::Vector{Vector{Int}}     # per kernel, where its contributions go in the pattern's values
    drifts::Bool                   # does an assigned value depend on forcings?
    read::Vector{Int}              # the forcings that are read
    pattern::SparseMatrixCSC{Float64,Int}
    transposed::SparseMatrixCSC{Float64,Int}
    places::Vector{Int}
    controls::Vector{Control}
    switches::Bool                 # may slopes or rates jump at some states?
    decisions::Bool                # may rates?
    guards::Vector{Kernel}
    moves::Vector{Moves}           # of stages and kernels, once a tangent asked for them (`moves.jl`)
    fronts::Base.RefValue{Any}     # of `pattern`, once a solve asked for them (`fronts.jl`)
    lock::ReentrantLock
end

function Model(n_states, n_parameters, n_forcings, n_fluxes, n_values, constants, stages, kernels,
               controls = (Int[], Int[], Float64[]), guards = Kernel[])
    base = n_states + n_parameters + n_forcings + length(constants)
    depends = Dependence(stages, n_states, base, n_values - base)
    pairs(k) = contributions(depends, n_states, base, k)
    place(a, state) = findfirst(l -> depends.states[l] == state, places(depends, a))
    stage_slots = [[depends.first[a-base] + place(a - base, state) - 1 for (a, state) in pairs(k)] for k in stages]
    pattern, slots = sparsity(n_states, n_fluxes, pairs.(kernels))
    control(i, a, size) = a == 0 || place(a - base, i) === nothing ? Control(i, a == 0 ? 0 : a - base, 0, size) :
                          Control(i, a - base, depends.first[a-base] + place(a - base, i) - 1, size)
    return Model(n_states, n_parameters, n_forcings, n_fluxes, n_values, constants, stages, kernels, base, depends,
                 stage_slots, slots, any(k -> k.along > k.active, stages),
                 read_forcings(n_states + n_parameters, n_forcings, [stages; kernels; guards]), pattern, transpose_states(pattern, n_states)...,
                 Control[control(c...) for c in zip(controls...)],
                 any(k -> k.branches > 0, [stages; kernels]), any(k -> k.decisions > 0, [stages; kernels]),
                 guards, Moves[], Ref{Any}(missing), ReentrantLock())
end

read_forcings(before, count, kernels) =
    filter(i -> any(k -> any(==(before + i), view(k.gather, :, k.active+1:k.along)), kernels), 1:count)

parameters(m::Model) = m.n_states .+ (1:m.n_parameters)
forcings(m::Model) = m.n_states + m.n_parameters .+ (1:m.n_forcings)
size_of(m::Model) = m.n_states + m.n_fluxes

"Compiles what a solve needs, and for an adjoint what that needs, unless it was done before."
function ready!(m::Model; adjoint = "none")
    lock(m.lock) do
        for k in Iterators.flatten((m.stages, m.kernels))
            foreach(ready!, adjoint == "forward" ? (k.dual_value!, k.dual_slopes!) : (k.value!, k.slopes!))
            k.branches > 0 && ready!(k.branch!)
            k.network === nothing || continue
            adjoint in ("gauss", "discrete") && isempty(k.columns) && ready!(k.pull!)
            adjoint in ("gauss", "discrete") && prepares(k) && ready!(k.partials!)
            adjoint == "discrete" && ready!(k.bend!)
        end
        foreach(k -> ready!(adjoint == "forward" ? k.dual_value! : k.value!), m.guards)
    end
    return m
end

"The same for numbers of lanes."
function ready_lanes!(m::Model; adjoint::Bool)
    lock(m.lock) do
        for k in Iterators.flatten((m.stages, m.kernels))
            ready!(k.lanes.value!)
            ready!(k.lanes.slopes!)
            !adjoint && k.branches > 0 && ready!(k.lanes.branch!)
            k.network === nothing || continue
            adjoint && isempty(k.columns) && ready!(k.lanes.pull!)
            adjoint && prepares(k) && ready!(k.lanes.partials!)
            adjoint && ready!(k.lanes.bend!)
        end
        adjoint || foreach(k -> ready!(k.lanes.value!), m.guards)
    end
    return m
end

"The pattern of the Jacobian and, for each list of contributions, where these go in the pattern's values."
function sparsity(n_states, n_fluxes, lists)
    n = n_states + n_fluxes
    everything = reduce(vcat, lists; init = [(i, i) for i in 1:n])
    pattern = sparse(first.(everything), last.(everything), zeros(length(everything)), n, n)
    place = Dict{Tuple{Int,Int},Int}()
    for column in 1:n, at in nzrange(pattern, column)
        place[(rowvals(pattern)[at], column)] = at
    end
    return pattern, [Int[place[pair] for pair in list] for list in lists]
end

function transpose_states(pattern, n)
    numbered = SparseMatrixCSC(size(pattern)..., pattern.colptr, pattern.rowval, collect(1:nnz(pattern)))
    turned = sparse(transpose(numbered[1:n, 1:n]))
    return SparseMatrixCSC(n, n, turned.colptr, turned.rowval, zeros(nnz(turned))), nonzeros(turned)
end
