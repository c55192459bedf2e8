# A model: kernels, the pattern of their Jacobian, and what is computed from them. Kernels stand behind
# function wrappers of fixed signature, so that all this, and the solvers above it, are compiled once,
# with the package; a new model compiles its local functions only.

"A state whose error is controlled through a closure value as well."
struct Control
    state::Int
    value::Int      # counted from the first closure value; 0 for the state itself
    slope::Int      # which of the states that this value depends on it is
    size::Float64
end

"""
    Model(n_states, n_parameters, n_forcings, n_fluxes, n_values, constants, closures, kernels, controls, guards)

A system of kernels, ready to be solved. `controls` are states, closure values through which their error
is controlled as well, and sizes of these. `guards` are kernels whose results are the lower bound, the value and
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
    closures::Vector{Kernel}
    kernels::Vector{Kernel}
    base::Int                      # closure values come after it in `v`
    depends::Vector{Int}           # number of states that each closure value depends on
    slots::Vector{Vector{Int}}     # per kernel, where its contributions go in the pattern's values
    pattern::SparseMatrixCSC{Float64,Int}
    transposed::SparseMatrixCSC{Float64,Int}
    places::Vector{Int}
    controls::Vector{Control}
    switches::Bool                 # may slopes or rates jump at some states?
    decisions::Bool                # may rates?
    guards::Vector{Kernel}
    lock::ReentrantLock
end

function Model(n_states, n_parameters, n_forcings, n_fluxes, n_values, constants, closures, kernels,
               controls = (Int[], Int[], Float64[]), guards = Kernel[])
    base = n_states + n_parameters + n_forcings + length(constants)
    n_closures = n_values - base
    widest = maximum(k -> k.active, closures; init = 0)
    depends, columns = zeros(Int, n_closures), zeros(Int, widest, n_closures)
    for k in closures, s in axes(k.targets, 2), i in 1:items(k)
        a = k.targets[i, s] - base
        depends[a] = k.active
        columns[1:k.active, a] = k.gather[i, 1:k.active]
    end
    pattern, slots = sparsity(n_states, n_fluxes, base, depends, columns, kernels)
    return Model(n_states, n_parameters, n_forcings, n_fluxes, n_values, constants, closures, kernels, base, depends,
                 slots, pattern, transpose_states(pattern, n_states)...,
                 [a == 0 ? Control(i, 0, 0, size) : Control(i, a - base, findfirst(==(i), view(columns, :, a - base)), size)
                  for (i, a, size) in zip(controls...)],
                 any(k -> k.branches > 0, [closures; kernels]), any(k -> k.decisions > 0, [closures; kernels]),
                 guards, ReentrantLock())
end

parameters(m::Model) = m.n_states .+ (1:m.n_parameters)
forcings(m::Model) = m.n_states + m.n_parameters .+ (1:m.n_forcings)
size_of(m::Model) = m.n_states + m.n_fluxes

"Compiles what a solve needs, and for an adjoint what that needs, unless it was done before."
function ready!(m::Model; adjoint = "none")
    lock(m.lock) do
        for k in Iterators.flatten((m.closures, m.kernels))
            foreach(ready!, adjoint == "forward" ? (k.dual_value!, k.dual_slopes!) : (k.value!, k.slopes!))
            k.branches > 0 && ready!(k.branch!)
            adjoint in ("gauss", "discrete") && ready!(k.pull!)
            adjoint == "discrete" && ready!(k.bend!)
        end
        foreach(k -> ready!(adjoint == "forward" ? k.dual_value! : k.value!), m.guards)
    end
    return m
end

"The pattern of the Jacobian and, per kernel, where its contributions go in the pattern's values."
function sparsity(n_states, n_fluxes, base, depends, columns, kernels)
    lists = [contributions!(Tuple{Int,Int}[], depends, columns, n_states, base, k) for k in kernels]
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

# Solvers ask for rates, for slopes and whether a step may stand at the same point, one after the other.
@enum Knowledge NOTHING CLOSURES SLOPES

"What the right-hand side reads and overwrites: one per task."
mutable struct Work{T}
    const model::Model
    const v::Vector{T}
    const closures::Vector{Space{T}}
    const kernels::Vector{Space{T}}
    const guards::Vector{Space{T}}
    const start::Vector{T}      # forcing at the start of the interval
    const finish::Vector{T}     # forcing at its end
    const entries::Vector{T}    # values of the Jacobian's pattern
    const slopes::Matrix{T}     # of closure values to the states they depend on
    known::Knowledge            # what has been computed at the point that is set
    looked::Bool                # and at its switches
    linear::Bool                # does the forcing change within the interval?
    length::Float64             # of the interval; time counts from its start
    time::Float64               # of the point that is set
    step_start::Float64
    const emphasis::Vector{Float64}   # by how much more the error of each rate counts
    rtol::Float64
    atol::Float64
    steep_share::Float64        # of the tolerances, for steps from where values are steep
    share::Float64              # the smallest share that a step of this member was taken with
    resolution::Float64         # how closely switches are located, as a share of the interval
    const clock::Clock
    look_at::UInt64             # when to look at the clock next
end

function Work{T}(m::Model, linear::Bool; adjoint = false, clock = Clock()) where {T}
    v = zeros(T, m.n_values)
    copyto!(v, m.base - length(m.constants) + 1, m.constants, 1, length(m.constants))
    forcing() = zeros(T, m.n_forcings)
    spaces(kernels) = Space{T}[Space{T}(k, adjoint) for k in kernels]
    return Work{T}(m, v, spaces(m.closures), spaces(m.kernels), Space{T}[Space{T}(k, false) for k in m.guards],
                   forcing(), forcing(), zeros(T, nnz(m.pattern)),
                   zeros(T, maximum(m.depends; init = 0), length(m.depends)), NOTHING, false, linear, 1.0, 0.0, 0.0, ones(size_of(m)), 0.0, 0.0, 1.0, 1.0,
                   0.0, clock, next_look(clock))
end

"Looks at the clock: called in every step."
@inline tick!(w::Work) = (w.look_at = look(w.clock, w.look_at); nothing)

"Calls `f(kernel, space)` for all closures and kernels."
@inline function each(f, w::Work)
    foreach(f, w.model.closures, w.closures)
    foreach(f, w.model.kernels, w.kernels)
end

forget!(w::Work) = (w.known = NOTHING; w.looked = false; nothing)

"Sets the parameters; what does not move during a solve is gathered here, once."
function set_parameters!(w::Work, p)
    w.v[parameters(w.model)] .= p
    unmoved!(k, s) = gather!(s.x, w.v, k, k.along+1:inputs(k))
    each(unmoved!, w)
    foreach(unmoved!, w.model.guards, w.guards)
    forget!(w)
    return w
end

"Sets the interval, `size` long; `f` is `(forcings, 1 or 2)`."
function set_interval!(w::Work, f::AbstractMatrix, size)
    w.length = size
    # Loops: for a few forcings, and a step or two in an interval, broadcasting costs more than the rest.
    @inbounds for i in eachindex(w.start)
        w.start[i], w.finish[i] = f[i, begin], f[i, end]
    end
    set_forcing!(w, 0.0)
    return w
end

function set_forcing!(w::Work, fraction)
    offset = w.model.n_states + w.model.n_parameters
    @inbounds for i in eachindex(w.start)
        w.v[offset+i] = w.start[i] + fraction * (w.finish[i] - w.start[i])
    end
    each((k, s) -> gather!(s.x, w.v, k, k.active+1:k.along), w)
    forget!(w)
    return w
end

"Sets the states, and the forcing at time `t` after the start of the interval; what is known stays known at the same point."
@inline function set_point!(w::Work, u, t)
    w.known != NOTHING && here(w, u, t) && return w
    copyto!(w.v, 1, u, 1, w.model.n_states)
    w.linear && set_forcing!(w, t / w.length)
    w.time = t
    forget!(w)
    return w
end

function here(w::Work{Float64}, u, t)
    w.linear && t != w.time && return false
    for i in 1:w.model.n_states
        @inbounds w.v[i] === u[i] || return false
    end
    return true
end

here(w::Work, u, t) = false

"Computes the closure values at the point set in `w`."
function assign_closures!(w::Work)
    w.known == NOTHING || return nothing
    for (k, s) in zip(w.model.closures, w.closures)
        value!(k, s.out, gather!(s.x, w.v, k, 1:k.active))
        assign!(w.v, s.out, k)
    end
    w.known = CLOSURES
    return nothing
end

"Rates `[d(states)/dt; fluxes]` at the point set in `w`."
function rates!(rates, w::Work)
    m = w.model
    assign_closures!(w)
    fill!(rates, zero(eltype(rates)))
    for (k, s) in zip(m.kernels, w.kernels)
        value!(k, s.out, gather!(s.x, w.v, k, 1:k.active))
        add_rates!(rates, s.out, k)
    end
    return nothing
end

"Values of the Jacobian of all rates to the states at the point set in `w`, in the order of the pattern."
function jacobian!(w::Work)
    w.known == SLOPES && return w.entries
    m = w.model
    for (k, s) in zip(m.closures, w.closures)
        slopes!(k, s.out, s.slopes, gather!(s.x, w.v, k, 1:k.active))
        assign!(w.v, s.out, k)
        keep_slopes!(w.slopes, s.slopes, m.base, k)
    end
    fill!(w.entries, zero(eltype(w.entries)))
    for (k, s, slots) in zip(m.kernels, w.kernels, m.slots)
        slopes!(k, s.out, s.slopes, gather!(s.x, w.v, k, 1:k.active))
        add_jacobian!(w.entries, s.slopes, w.slopes, m.depends, slots, m.n_states, m.base, k)
    end
    w.known = SLOPES
    return w.entries
end

"""
Gradient of `rates_bar' * rates` at the point set in `w`: assigned to `bar`, shaped like `v`, for states
and forcings; added up in `w` for parameters, until `collect_parameters!` is called.
"""
function pull!(bar, w::Work{Float64}, rates_bar)
    m = w.model
    assign_closures!(w)
    fill!(bar, 0.0)
    for (k, s) in zip(m.kernels, w.kernels)
        k.pull!(s.bars, seed!(s.seeds, rates_bar, k), gather!(s.x, w.v, k, 1:k.active))
        scatter_bars!(bar, s.bars, k, 1:k.along)
    end
    pull_closures!(bar, w)
    return bar
end

"Moves the gradients of closure values in `bar` on to what they were computed from."
function pull_closures!(bar, w::Work{Float64})
    for (k, s) in zip(w.model.closures, w.closures)
        k.pull!(s.bars, seed!(s.seeds, bar, k), s.x)
        scatter_bars!(bar, s.bars, k, 1:k.along)
    end
    return bar
end

"Adds the gradients to parameters that came together since the last call to `p_bar`."
function collect_parameters!(p_bar, bar, w::Work{Float64})
    fill!(bar, 0.0)
    each((k, s) -> scatter_bars!(bar, s.bars, k, k.along+1:k.variable), w)
    p_bar .+= view(bar, parameters(w.model))
    return p_bar
end
