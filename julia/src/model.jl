# A model behind function wrappers of fixed signature: solvers see one type for every model, so their
# code is compiled once, with the package, and a new model compiles its local functions only.

const Values = Vector{Float64}
const PARTIALS = 12
struct SolveTag end
const DualNumber = ForwardDiff.Dual{SolveTag,Float64,PARTIALS}
# Local derivatives are always taken inside: of functions that may already carry solver partials.
ForwardDiff.:≺(::Type{SolveTag}, ::Type{LocalTag}) = true
ForwardDiff.:≺(::Type{LocalTag}, ::Type{SolveTag}) = false
const Duals = Vector{DualNumber}

"The same functions on the solver's dual numbers; compiled only where forward mode is asked for."
struct DualFunctions
    rates!::FunctionWrapper{Nothing,Tuple{Duals,Duals}}
    jacobian!::FunctionWrapper{Nothing,Tuple{Duals,Duals,Matrix{DualNumber}}}
end

"""
    Model(n_states, n_parameters, n_forcings, n_fluxes, n_values, constants, closures, kernels)

A system of kernels, ready to be solved.

- `rates!(rates, v)`: fills in closure values and rates.
- `jacobian!(entries, v, slopes)`: values of the Jacobian of all rates to the states, in the order of `pattern`.
- `pull!(bar, v, rates_bar, partials)`: gradient with respect to all of `v`; `partials` is scratch space,
  a vector per closure kernel.
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
    rates!::FunctionWrapper{Nothing,Tuple{Values,Values}}
    jacobian!::FunctionWrapper{Nothing,Tuple{Values,Values,Matrix{Float64}}}
    duals::Any              # makes the `DualFunctions`
    pull!::FunctionWrapper{Nothing,Tuple{Values,Values,Values,Vector{Values}}}
    pattern::SparseMatrixCSC{Float64,Int}
    transposed::SparseMatrixCSC{Float64,Int}
    places::Vector{Int}
    n_closures::Int         # closure values, all kernels together
    n_closure_kernels::Int
    widest::Int             # most states that one closure value depends on
end

function Model(n_states, n_parameters, n_forcings, n_fluxes, n_values, constants, closures::Tuple, kernels::Tuple)
    base = n_states + n_parameters + n_forcings + length(constants)
    n_closures = n_values - base
    widest = maximum(k -> active(k), closures; init = 0)
    depends, columns = zeros(Int, n_closures), zeros(Int, widest, n_closures)
    for k in closures, i in 1:items(k), s in axes(k.targets, 1)
        a = k.targets[s, i] - base
        depends[a] = active(k)
        columns[1:active(k), a] = k.gather[1:active(k), i]
    end
    pattern, slots = sparsity(n_states, n_fluxes, base, depends, columns, kernels)

    function rates!(rates, v)
        fill!(rates, zero(eltype(rates)))
        each(k -> assign!(v, k), closures)
        each(k -> add_rates!(rates, v, k), kernels)
        return nothing
    end
    function jacobian!(entries, v, slopes)
        fill!(entries, 0.0)
        each(k -> assign_with_slopes!(v, slopes, base, k), closures)
        each((k, at) -> add_jacobian!(entries, v, slopes, depends, at, n_states, base, k), kernels, slots)
        return nothing
    end
    function pull!(bar, v, rates_bar, partials)
        fill!(bar, 0.0)
        each((k, kept) -> assign_with_partials!(v, kept, k), closures, partials)
        each(k -> pull_rates!(bar, v, rates_bar, k), kernels)
        each((k, kept) -> pull_closure!(bar, kept, k), reverse(closures), reverse(partials))
        return nothing
    end
    return Model(n_states, n_parameters, n_forcings, n_fluxes, n_values, constants,
                 rates!, jacobian!, () -> DualFunctions(rates!, jacobian!), pull!, pattern, transpose_states(pattern, n_states)...,
                 n_closures, length(closures), widest)
end

active(::Kernel{F,NI,NA}) where {F,NI,NA} = NA

@inline each(f, ::Tuple{}, s::AbstractVector) = nothing
@inline each(f, t::Tuple, s::AbstractVector) = (f(first(t), s[begin]); each(f, Base.tail(t), @view s[begin+1:end]))

# Calls `f` on each element of tuples of different types without dynamic dispatch.
@inline each(f, ::Tuple{}) = nothing
@inline each(f, t::Tuple) = (f(first(t)); each(f, Base.tail(t)))
@inline each(f, ::Tuple{}, ::Tuple{}) = nothing
@inline each(f, t::Tuple, s::Tuple) = (f(first(t), first(s)); each(f, Base.tail(t), Base.tail(s)))

"The pattern of the Jacobian and, per kernel, where its contributions go in the pattern's values."
function sparsity(n_states, n_fluxes, base, depends, columns, kernels)
    lists = map(k -> contributions!(Tuple{Int,Int}[], depends, columns, n_states, base, k), kernels)
    n = n_states + n_fluxes
    everything = reduce(vcat, lists; init = [(i, i) for i in 1:n])
    pattern = sparse(first.(everything), last.(everything), zeros(length(everything)), n, n)
    place = Dict{Tuple{Int,Int},Int}()
    for column in 1:n, at in nzrange(pattern, column)
        place[(rowvals(pattern)[at], column)] = at
    end
    return pattern, map(list -> [place[pair] for pair in list], lists)
end

function transpose_states(pattern, n)
    numbered = SparseMatrixCSC(size(pattern)..., pattern.colptr, pattern.rowval, collect(1:nnz(pattern)))
    turned = sparse(transpose(numbered[1:n, 1:n]))
    return SparseMatrixCSC(n, n, turned.colptr, turned.rowval, zeros(nnz(turned))), nonzeros(turned)
end

"""
    compile(source) -> function

The local function written in `source`, in a module of its own that knows the functions of `locals.jl`.
"""
function compile(source::AbstractString)
    space = Module(:Local)
    Core.eval(space, :(const power, logarithm, root, pick = $power, $logarithm, $root, $pick))
    return Core.eval(space, Meta.parse(source))
end
