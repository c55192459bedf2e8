# Kernels: local functions over all their items, on one flat vector of values
#
#     v = [ states | parameters | forcings | constants | assigned values ].
#
# A kernel gathers the inputs of its local function from `v`, one row per item, and scatters the results. Kernels of
# stages assign them to `v`, or add them up there, and may read what stages before them have assigned; the others add
# them, times a weight, to the rates `[ d(states)/dt | integrated fluxes ]`. Everything below follows from that: the
# rates, their sparse Jacobian, and products with its transpose.

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
        made = f.source isa Union{AbstractString,HastySource} ? compile(f.source) : prepared(f.source, W)
        f.wrapper = Base.invokelatest(W, made)
        f.source isa Union{AbstractString,HastySource} && note_use!(f.source, W)
    end
    return nothing
end

# Over lanes, what is not written as source is a function of plain numbers, and applied lane by lane.
prepared(source, ::Type{W}) where {W} = source
prepared(source::Function, ::Type{<:FunctionWrapper{Nothing,<:Tuple{Matrix{Lanes},Vararg}}}) = ByLane(source)

const Two{T} = FunctionWrapper{Nothing,Tuple{Block{T},Block{T}}}
const Three{T} = FunctionWrapper{Nothing,Tuple{Block{T},Block{T},Block{T}}}

"The functions of a kernel that solve and differentiate on numbers of lanes: those of the same name."
struct LaneFunctions
    value!::Lazy{Two{Lanes}}
    slopes!::Lazy{Three{Lanes}}
    pull!::Lazy{Three{Lanes}}
    partials!::Lazy{Three{Lanes}}
    bend!::Lazy{Three{Lanes}}
    branch!::Lazy{Two{Lanes}}

    LaneFunctions(value, slopes, pull, partials, bend, branch) =
        new(Lazy{Two{Lanes}}(value), Lazy{Three{Lanes}}(slopes), Lazy{Three{Lanes}}(pull), Lazy{Three{Lanes}}(partials),
            Lazy{Three{Lanes}}(bend), Lazy{Two{Lanes}}(branch))
end

"""
What moves of a kernel are computed from, on lanes: `first!(out, partials, x)` assigns results and their derivatives to inputs,
those that are not zero: `columns` says which, counted result by result over the `variable` inputs. `second!(slopes, bends,
x)` does so for slopes, and `bent` counts column by column of these.
"""
struct Moves
    first!::Lazy{Three{Lanes}}
    columns::Vector{Int}
    second!::Lazy{Three{Lanes}}
    bent::Vector{Int}

    Moves(first, columns, second, bent) = new(Lazy{Three{Lanes}}(first), columns, Lazy{Three{Lanes}}(second), bent)
end

"""
    Kernel(sources, gather, output, targets, weights, active, along, variable, branches = 0, decisions = 0; ways, adds, partials, columns, network)

A local function over its items.

- `sources`: functions over matrices with one row per item; `x` holds the inputs in its columns.
  `value!(out, x)` assigns the results, `slopes!(out, slopes, x)` also their derivatives to the first
  `ways` inputs, result by result. `pull!(bars, w, x)` adds the gradient of the sum of `w` times the
  results to `bars`, a column per variable input, and `bend!(bars, w, x)` that of `w` times the slopes. `branch!(marks, x)`, needed
  where there are `branches`, tells by ones and zeros which side each switch is on. Where there are `decisions` (`jumps.jl`),
  `sided!(out, sides, x)` assigns the results on given sides of them, `event!(events, x)` what changes sign at each, and
  after these which side each is on, and `pull_event!(bars, w, x)` adds the gradient of the sum of `w` times what changes sign.
- `gather`: positions in `v`, `(items, inputs)`. The first `active` inputs depend on the states (states
  themselves or assigned values), those up to `along` are forcings, up to `variable` parameters, the
  rest constants. `ways` is `along` where forcings may change within an interval, else it may be `active`.
- `output`: which result each scatter takes; `targets`, `weights`: `(items, scatters)`.
- `adds`: whether a stage adds its results up, times the weights, instead of assigning them.
- `partials`: for a stage, source of `partials!(out, partials, x)`, which assigns the results and their derivatives to the
  `variable` inputs, result by result; of these `columns` may be other than zero. Powers and exponentials are then
  computed once for the values and for all products with the transpose at a point.
- `network`: of a stage that is one, which then stands for `pull!`, `bend!` and `partials!`.
"""
struct Kernel
    value!::Lazy{Two{Float64}}
    slopes!::Lazy{Three{Float64}}
    pull!::Lazy{Three{Float64}}
    partials!::Lazy{Three{Float64}}
    bend!::Lazy{Three{Float64}}
    branch!::Lazy{Two{Float64}}
    sided!::Lazy{Three{Float64}}
    event!::Lazy{Two{Float64}}
    pull_event!::Lazy{Three{Float64}}
    dual_value!::Lazy{Two{DualNumber}}
    dual_slopes!::Lazy{Three{DualNumber}}
    lanes::LaneFunctions
    gather::Matrix{Int}
    output::Vector{Int}
    targets::Matrix{Int}
    weights::Matrix{Float64}
    active::Int
    along::Int
    variable::Int
    ways::Int
    branches::Int
    decisions::Int
    adds::Bool
    columns::Vector{Int}
    network::Union{Nothing,Network}
end

function Kernel(sources, gather, output, targets, weights, active, along, variable, branches = 0, decisions = 0;
                ways = along, adds = false, partials = nothing, columns = Int[], network = nothing)
    size(targets) == size(weights) == (size(gather, 1), length(output)) ||
        throw(DimensionMismatch("gather, output, targets and weights differ in size"))
    value, slopes, pull, bend = sources
    branch = branches == 0 ? nothing : sources[5]
    sided, event, pull_event = decisions == 0 ? (nothing, nothing, nothing) : sources[6:8]
    return Kernel(Lazy{Two{Float64}}(value), Lazy{Three{Float64}}(slopes), Lazy{Three{Float64}}(pull),
                  Lazy{Three{Float64}}(partials), Lazy{Three{Float64}}(bend), Lazy{Two{Float64}}(branch), Lazy{Three{Float64}}(sided), Lazy{Two{Float64}}(event),
                  Lazy{Three{Float64}}(pull_event), Lazy{Two{DualNumber}}(value), Lazy{Three{DualNumber}}(slopes),
                  LaneFunctions(value, slopes, pull, partials, bend, branch), gather, output, targets, weights, active, along, variable, ways, branches, decisions, adds, columns, network)
end

items(k::Kernel) = size(k.gather, 1)
prepares(k::Kernel) = k.partials!.source !== nothing
inputs(k::Kernel) = size(k.gather, 2)
outputs(k::Kernel) = maximum(k.output; init = 0)

@inline value!(k::Kernel, out::Block{Float64}, x) = k.value!(out, x)
@inline value!(k::Kernel, out::Block{DualNumber}, x) = k.dual_value!(out, x)
@inline value!(k::Kernel, out::Block{Lanes}, x) = k.lanes.value!(out, x)
@inline slopes!(k::Kernel, out::Block{Float64}, slopes, x) = k.slopes!(out, slopes, x)
@inline slopes!(k::Kernel, out::Block{DualNumber}, slopes, x) = k.dual_slopes!(out, slopes, x)
@inline slopes!(k::Kernel, out::Block{Lanes}, slopes, x) = k.lanes.slopes!(out, slopes, x)
for f in (:pull!, :partials!, :bend!)
    @eval @inline $f(k::Kernel, a::Block{Float64}, b, x) = k.$f(a, b, x)
    @eval @inline $f(k::Kernel, a::Block{Lanes}, b, x) = k.lanes.$f(a, b, x)
end
@inline branch!(k::Kernel, marks::Block{Float64}, x) = k.branch!(marks, x)
@inline branch!(k::Kernel, marks::Block{Lanes}, x) = k.lanes.branch!(marks, x)

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
    partials::Block{T}  # of a stage: derivatives of the results to the variable inputs
end

function Space{T}(k::Kernel, adjoint::Bool) where {T}
    n, o = items(k), outputs(k)
    block(columns) = zeros(T, n, columns)
    extra(columns) = zeros(T, adjoint ? n : 0, columns)
    some(columns) = zeros(T, k.branches > 0 ? n : 0, columns)
    return Space{T}(block(inputs(k)), block(o), block(o * k.ways), some(k.branches), some(k.branches),
                    some(o * k.ways), some(k.active), some(o), extra(o), extra(o * k.ways), extra(k.variable), extra(isempty(k.columns) ? 0 : o * k.variable))
end

@inline function gather!(x, v, k::Kernel, columns)
    @inbounds for j in columns, i in axes(x, 1)
        x[i, j] = v[k.gather[i, j]]
    end
    return x
end

"Assigns the results of a stage to `v`."
function assign!(v, out, k::Kernel)
    k.adds && return add_up!(v, out, k)
    @inbounds for s in axes(k.targets, 2)
        o = k.output[s]
        for i in axes(k.targets, 1)
            v[k.targets[i, s]] = out[i, o]
        end
    end
    return nothing
end

function add_up!(v, out, k::Kernel)
    for target in k.targets
        @inbounds v[target] = zero(eltype(v))
    end
    return add_rates!(v, out, k)
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

"The states that each assigned value depends on, one list after the other; `first` says where each begins."
struct Dependence
    first::Vector{Int}
    states::Vector{Int}
end

Dependence(lists::Vector{Vector{Int}}) = Dependence(cumsum([1; length.(lists)]), joined(lists))
"All lists in one; with a first value given, `reduce` would copy what there is for each of them."
joined(lists::Vector{Vector{T}}) where {T} = isempty(lists) ? T[] : reduce(vcat, lists)
@inline places(d::Dependence, value) = d.first[value]:d.first[value+1]-1

"Which states the values assigned by stages depend on, through all stages before them."
function Dependence(stages::Vector{Kernel}, n_states, base, n_assigned)
    lists = [Int[] for _ in 1:n_assigned]
    for k in stages
        for s in axes(k.targets, 2), j in 1:k.active, i in 1:items(k)
            position, list = k.gather[i, j], lists[k.targets[i, s]-base]
            position <= n_states ? push!(list, position) : append!(list, lists[position-base])
        end
        foreach(target -> unique!(sort!(lists[target-base])), k.targets)
    end
    return Dependence(lists)
end

"""
Adds the kernel's share to the derivatives of rates, or of assigned values, to the states. `slots` lists the places of
its contributions in `entries` in the order in which they arise; `kept` holds the derivatives of assigned values.
"""
function add_jacobian!(entries, slopes, kept, depends::Dependence, slots, n_states, base, k::Kernel)
    at = 0
    @inbounds for s in axes(k.targets, 2), j in 1:k.active
        column = (k.output[s] - 1) * k.ways + j
        for i in axes(k.targets, 1)
            d = k.weights[i, s] * slopes[i, column]
            position = k.gather[i, j]
            if position <= n_states
                entries[slots[at+=1]] += d
            else
                for l in places(depends, position - base)
                    entries[slots[at+=1]] += d * kept[l]
                end
            end
        end
    end
    return nothing
end

"The (target, state) of each contribution, in the order of `add_jacobian!`."
function contributions(depends::Dependence, n_states, base, k::Kernel)
    pairs = Tuple{Int,Int}[]
    for s in axes(k.targets, 2), j in 1:k.active, i in 1:items(k)
        target, position = k.targets[i, s], k.gather[i, j]
        if position <= n_states
            push!(pairs, (target, position))
        else
            foreach(l -> push!(pairs, (target, depends.states[l])), places(depends, position - base))
        end
    end
    return pairs
end

# Products with the transpose: `bar` holds the gradient with respect to every value of `v`.

"Sets the seeds of a kernel from the gradient to the rates, or of a stage from that to its values."
function seed!(seeds, bar, k::Kernel)
    fill!(seeds, zero(eltype(seeds)))
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
        bars[i, j] = zero(eltype(bars))
    end
    return nothing
end

"Adds the products of the seeds of a stage with its partial derivatives to the gradients to its inputs."
function multiply!(bars, seeds, partials, k::Kernel)
    @inbounds for column in k.columns
        o, j = divrem(column - 1, k.variable) .+ 1
        @simd for i in axes(bars, 1)
            bars[i, j] = muladd(seeds[i, o], partials[i, column], bars[i, j])
        end
    end
    return nothing
end
