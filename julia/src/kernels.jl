# Kernels: local functions over all their items, on one flat vector of values
#
#     v = [ states | parameters | forcings | constants | closure values ].
#
# A kernel gathers the inputs of its local function from `v`, one row per item, and scatters the results:
# closure kernels assign them to `v`, the others add them, times a weight, to the rates
# `[ d(states)/dt | integrated fluxes ]`. Everything below follows from that: the rates, their sparse
# Jacobian, and products with its transpose.

const Block{T} = Matrix{T}
struct SolveTag end
const PARTIALS = 8
const DualNumber = ForwardDiff.Dual{SolveTag,Float64,PARTIALS}
# Derivatives of local functions are taken inside, of functions that may already carry these partials.
ForwardDiff.:≺(::Type{SolveTag}, ::Type{<:ForwardDiff.Tag}) = true
ForwardDiff.:≺(::Type{<:ForwardDiff.Tag}, ::Type{SolveTag}) = false

"A function behind a wrapper of fixed signature, compiled when it is first asked for."
mutable struct Lazy{W}
    const source::Any     # Julia source, or a function
    wrapper::Union{Nothing,W}
end

Lazy{W}(source) where {W} = Lazy{W}(source, nothing)
@inline (f::Lazy{W})(args...) where {W} = (f.wrapper::W)(args...)

function ready!(f::Lazy{W}) where {W}
    if f.wrapper === nothing
        made = f.source isa AbstractString ? compile(f.source) : f.source
        f.wrapper = Base.invokelatest(W, made)
    end
    return nothing
end

const Two{T} = FunctionWrapper{Nothing,Tuple{Block{T},Block{T}}}
const Three{T} = FunctionWrapper{Nothing,Tuple{Block{T},Block{T},Block{T}}}

"""
    Kernel(sources, gather, output, targets, weights, active, along, variable, branches = 0, decisions = 0)

A local function over its items.

- `sources`: functions over matrices with one row per item; `x` holds the inputs in its columns.
  `value!(out, x)` assigns the results, `slopes!(out, slopes, x)` also their derivatives to the first
  `along` inputs, result by result. `pull!(bars, w, x)` adds the gradient of the sum of `w` times the
  results to `bars`, a column per variable input, and `bend!(bars, w, x)` that of `w` times the slopes. `branch!(marks, x)`, needed
  where there are `branches`, tells by ones and zeros which side each switch is on. Where there are `decisions` (`jumps.jl`),
  `sided!(out, sides, x)` assigns the results on given sides of them, `event!(events, x)` what changes sign at each, and
  after these which side each is on, and `pull_event!(bars, w, x)` adds the gradient of the sum of `w` times what changes sign.
- `gather`: positions in `v`, `(items, inputs)`. The first `active` inputs depend on the states (states
  themselves or closure values), those up to `along` are forcings, up to `variable` parameters, the
  rest constants.
- `output`: which result each scatter takes; `targets`, `weights`: `(items, scatters)`.
"""
struct Kernel
    value!::Lazy{Two{Float64}}
    slopes!::Lazy{Three{Float64}}
    pull!::Lazy{Three{Float64}}
    bend!::Lazy{Three{Float64}}
    branch!::Lazy{Two{Float64}}
    sided!::Lazy{Three{Float64}}
    event!::Lazy{Two{Float64}}
    pull_event!::Lazy{Three{Float64}}
    dual_value!::Lazy{Two{DualNumber}}
    dual_slopes!::Lazy{Three{DualNumber}}
    gather::Matrix{Int}
    output::Vector{Int}
    targets::Matrix{Int}
    weights::Matrix{Float64}
    active::Int
    along::Int
    variable::Int
    branches::Int
    decisions::Int
end

function Kernel(sources, gather, output, targets, weights, active, along, variable, branches = 0, decisions = 0)
    size(targets) == size(weights) == (size(gather, 1), length(output)) ||
        throw(DimensionMismatch("gather, output, targets and weights differ in size"))
    value, slopes, pull, bend = sources
    branch = branches == 0 ? nothing : sources[5]
    sided, event, pull_event = decisions == 0 ? (nothing, nothing, nothing) : sources[6:8]
    return Kernel(Lazy{Two{Float64}}(value), Lazy{Three{Float64}}(slopes), Lazy{Three{Float64}}(pull),
                  Lazy{Three{Float64}}(bend), Lazy{Two{Float64}}(branch), Lazy{Three{Float64}}(sided), Lazy{Two{Float64}}(event),
                  Lazy{Three{Float64}}(pull_event), Lazy{Two{DualNumber}}(value), Lazy{Three{DualNumber}}(slopes),
                  gather, output, targets, weights, active, along, variable, branches, decisions)
end

items(k::Kernel) = size(k.gather, 1)
inputs(k::Kernel) = size(k.gather, 2)
outputs(k::Kernel) = maximum(k.output; init = 0)

@inline value!(k::Kernel, out::Block{Float64}, x) = k.value!(out, x)
@inline value!(k::Kernel, out::Block{DualNumber}, x) = k.dual_value!(out, x)
@inline slopes!(k::Kernel, out::Block{Float64}, slopes, x) = k.slopes!(out, slopes, x)
@inline slopes!(k::Kernel, out::Block{DualNumber}, slopes, x) = k.dual_slopes!(out, slopes, x)

"What one kernel reads and writes; `seeds`, `bent` and `bars` serve adjoints only."
struct Space{T}
    x::Block{T}
    out::Block{T}
    slopes::Block{T}
    marks::Block{T}         # switches at the start of a step
    marks_then::Block{T}    # and at its end, with the slopes there
    slopes_then::Block{T}
    x_start::Block{T}       # what moves, and the results, at the start of a step
    out_start::Block{T}
    seeds::Block{T}     # gradients to the results
    bent::Block{T}      # gradients to the slopes
    bars::Block{T}      # gradients to the inputs
end

function Space{T}(k::Kernel, adjoint::Bool) where {T}
    n, o = items(k), outputs(k)
    block(columns) = zeros(T, n, columns)
    extra(columns) = zeros(T, adjoint ? n : 0, columns)
    some(columns) = zeros(T, k.branches > 0 ? n : 0, columns)
    return Space{T}(block(inputs(k)), block(o), block(o * k.along), some(k.branches), some(k.branches),
                    some(o * k.along), some(k.active), some(o), extra(o), extra(o * k.along), extra(k.variable))
end

@inline function gather!(x, v, k::Kernel, columns)
    @inbounds for j in columns, i in axes(x, 1)
        x[i, j] = v[k.gather[i, j]]
    end
    return x
end

"Assigns closure values to `v`."
function assign!(v, out, k::Kernel)
    @inbounds for s in axes(k.targets, 2)
        o = k.output[s]
        for i in axes(k.targets, 1)
            v[k.targets[i, s]] = out[i, o]
        end
    end
    return nothing
end

"Adds the results to the rates."
function add_rates!(rates, out, k::Kernel)
    @inbounds for s in axes(k.targets, 2)
        o = k.output[s]
        for i in axes(k.targets, 1)
            rates[k.targets[i, s]] += k.weights[i, s] * out[i, o]
        end
    end
    return nothing
end

"Keeps the slopes of closure values to the states they depend on, a column per closure value."
function keep_slopes!(kept, slopes, base, k::Kernel)
    @inbounds for s in axes(k.targets, 2), j in 1:k.active
        column = (k.output[s] - 1) * k.along + j
        for i in axes(k.targets, 1)
            kept[j, k.targets[i, s]-base] = slopes[i, column]
        end
    end
    return nothing
end

"""
Adds the kernel's share of the Jacobian to `entries`, the values of the sparsity pattern. `slots` lists
the places of its contributions in the order in which they arise; `depends` says on how many states
each closure value depends, and `kept` holds its slopes to them.
"""
function add_jacobian!(entries, slopes, kept, depends, slots, n_states, base, k::Kernel)
    at = 0
    @inbounds for s in axes(k.targets, 2), j in 1:k.active
        column = (k.output[s] - 1) * k.along + j
        for i in axes(k.targets, 1)
            d = k.weights[i, s] * slopes[i, column]
            position = k.gather[i, j]
            if position <= n_states
                entries[slots[at+=1]] += d
            else
                for l in 1:depends[position-base]
                    entries[slots[at+=1]] += d * kept[l, position-base]
                end
            end
        end
    end
    return nothing
end

"The (row, column) of each contribution, in the order of `add_jacobian!`."
function contributions!(pairs, depends, columns, n_states, base, k::Kernel)
    for s in axes(k.targets, 2), j in 1:k.active, i in 1:items(k)
        row, position = k.targets[i, s], k.gather[i, j]
        if position <= n_states
            push!(pairs, (row, position))
        else
            for l in 1:depends[position-base]
                push!(pairs, (row, columns[l, position-base]))
            end
        end
    end
    return pairs
end

# Products with the transpose: `bar` holds the gradient with respect to every value of `v`.

"Sets the seeds of a kernel from the gradient to the rates, or of a closure from that to its values."
function seed!(seeds, bar, k::Kernel)
    fill!(seeds, 0.0)
    @inbounds for s in axes(k.targets, 2)
        o = k.output[s]
        for i in axes(k.targets, 1)
            seeds[i, o] += k.weights[i, s] * bar[k.targets[i, s]]
        end
    end
    return seeds
end

"Adds the gradients to inputs that move during the solve to `bar`, and clears them."
function scatter_bars!(bar, bars, k::Kernel, columns)
    @inbounds for j in columns, i in axes(bars, 1)
        bar[k.gather[i, j]] += bars[i, j]
        bars[i, j] = 0.0
    end
    return nothing
end
