# Kernels: local functions over all their items, on one flat vector of values
#
#     v = [ states | parameters | forcings | constants | closure values ].
#
# A kernel gathers the inputs of its scalar function from `v`, item by item, and scatters the results:
# closure kernels assign them to `v`, the others add them, times a weight, to the rates
# `[ d(states)/dt | integrated fluxes ]`. Everything below follows from that: the rates, their sparse
# Jacobian, and products with its transpose, all from dual numbers on the local functions alone.

"""
    Kernel(f, gather, targets, weights, active, variable)

A local function `f` of scalars that returns one scalar per scatter.

- `gather`: positions in `v`, `(inputs, items)`. The first `active` inputs depend on the states
  (states themselves or closure values), the next ones up to `variable` are parameters and forcings,
  the rest are constants.
- `targets`, `weights`: `(scatters, items)`.
"""
struct Kernel{F,NI,NA,NV,NO}
    f::F
    gather::Matrix{Int}
    targets::Matrix{Int}
    weights::Matrix{Float64}
end

function Kernel(f::F, gather, targets, weights, active::Int, variable::Int) where {F}
    inputs, items = size(gather)
    size(targets) == size(weights) || throw(DimensionMismatch("targets and weights differ in size"))
    size(targets, 2) == items || throw(DimensionMismatch("gather and targets differ in items"))
    return Kernel{F,inputs,active,variable,size(targets, 1)}(f, gather, targets, weights)
end

items(kernel::Kernel) = size(kernel.gather, 2)

struct LocalTag end
ForwardDiff.:≺(::Type{<:ForwardDiff.Tag}, ::Type{LocalTag}) = true
ForwardDiff.:≺(::Type{LocalTag}, ::Type{<:ForwardDiff.Tag}) = false

@inline gathered(k::Kernel{F,NI}, v, i) where {F,NI} = ntuple(j -> @inbounds(v[k.gather[j, i]]), Val(NI))

"The inputs of item `i`, the first `n` of them carrying the unit derivatives."
@inline function seeded(k::Kernel{F,NI}, v, i, ::Val{n}) where {F,NI,n}
    T = eltype(v)
    return ntuple(Val(NI)) do j
        ForwardDiff.Dual{LocalTag}(@inbounds(v[k.gather[j, i]]), ntuple(l -> T(l == j), Val(n)))
    end
end

@inline value(x::ForwardDiff.Dual{LocalTag}) = ForwardDiff.value(x)
@inline value(x) = x
@inline slope(x::ForwardDiff.Dual{LocalTag}, j) = @inbounds ForwardDiff.partials(x)[j]
@inline slope(x, j) = zero(x)

"Assigns the closure values in `v`."
function assign!(v, k::Kernel{F,NI,NA,NV,NO}) where {F,NI,NA,NV,NO}
    @inbounds for i in 1:items(k)
        out = k.f(gathered(k, v, i)...)
        for s in 1:NO
            v[k.targets[s, i]] = out[s]
        end
    end
    return nothing
end

"Adds what the kernel gives to the rates."
function add_rates!(rates, v, k::Kernel{F,NI,NA,NV,NO}) where {F,NI,NA,NV,NO}
    @inbounds for i in 1:items(k)
        out = k.f(gathered(k, v, i)...)
        for s in 1:NO
            rates[k.targets[s, i]] += k.weights[s, i] * out[s]
        end
    end
    return nothing
end

# Jacobian. Closure values are functions of the states of their own item, so their slopes are kept
# in `slopes[:, a]` for closure value `a`, and the chain rule runs over short fixed lists.

function assign_with_slopes!(v, slopes, base, k::Kernel{F,NI,NA,NV,NO}) where {F,NI,NA,NV,NO}
    @inbounds for i in 1:items(k)
        out = k.f(seeded(k, v, i, Val(NA))...)
        for s in 1:NO
            target = k.targets[s, i]
            v[target] = value(out[s])
            for j in 1:NA
                slopes[j, target-base] = slope(out[s], j)
            end
        end
    end
    return nothing
end

"""
Adds the kernel's share of the Jacobian to `entries`, the values of the sparsity pattern. `slots` lists
the places of its contributions in the order in which they arise; `columns(position)` of a closure value
is the number of states it depends on.
"""
function add_jacobian!(entries, v, slopes, depends, slots, n_states, base, k::Kernel{F,NI,NA,NV,NO}) where {F,NI,NA,NV,NO}
    NA == 0 && return nothing
    at = 0
    @inbounds for i in 1:items(k)
        out = k.f(seeded(k, v, i, Val(NA))...)
        for s in 1:NO
            weight = k.weights[s, i]
            for j in 1:NA
                d = weight * slope(out[s], j)
                position = k.gather[j, i]
                if position <= n_states
                    entries[slots[at+=1]] += d
                else
                    for l in 1:depends[position-base]
                        entries[slots[at+=1]] += d * slopes[l, position-base]
                    end
                end
            end
        end
    end
    return nothing
end

"The (row, column) of each contribution, in the order of `add_jacobian!`."
function contributions!(pairs, depends, columns, n_states, base, k::Kernel{F,NI,NA,NV,NO}) where {F,NI,NA,NV,NO}
    for i in 1:items(k), s in 1:NO, j in 1:NA
        row, position = k.targets[s, i], k.gather[j, i]
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

"Assigns the closure values and keeps their slopes to all variable inputs in `partials`, item by item."
function assign_with_partials!(v, partials, k::Kernel{F,NI,NA,NV,NO}) where {F,NI,NA,NV,NO}
    resize!(partials, NV * NO * items(k))
    at = 0
    @inbounds for i in 1:items(k)
        out = k.f(seeded(k, v, i, Val(NV))...)
        for s in 1:NO
            v[k.targets[s, i]] = value(out[s])
            for j in 1:NV
                partials[at+=1] = slope(out[s], j)
            end
        end
    end
    return nothing
end

"Adds to `bar` what the gradient `rates_bar` of the rates gives through this kernel."
function pull_rates!(bar, v, rates_bar, k::Kernel{F,NI,NA,NV,NO}) where {F,NI,NA,NV,NO}
    @inbounds for i in 1:items(k)
        out = k.f(seeded(k, v, i, Val(NV))...)
        for s in 1:NO
            w = k.weights[s, i] * rates_bar[k.targets[s, i]]
            for j in 1:NV
                bar[k.gather[j, i]] += w * slope(out[s], j)
            end
        end
    end
    return nothing
end

"Moves the gradients of closure values in `bar` on to what they were computed from."
function pull_closure!(bar, partials, k::Kernel{F,NI,NA,NV,NO}) where {F,NI,NA,NV,NO}
    at = 0
    @inbounds for i in 1:items(k), s in 1:NO
        w = bar[k.targets[s, i]]
        for j in 1:NV
            bar[k.gather[j, i]] += w * partials[at+=1]
        end
    end
    return nothing
end
