# Batches: one call for all members, on threads where Julia has more than one.

struct Tape
    breaks::Vector{Float64}
    p::Matrix{Float64}
    f::Array{Float64,4}
    settings::Settings
    kept::Vector{Any}     # per member: dense solutions, transition matrices, or nothing
end

struct ForwardResult
    y::Array{Float64,3}
    q::Array{Float64,3}
    codes::String           # return code of each member, joined by commas
    tape::Tape
end

struct BackwardResult
    y0::Matrix{Float64}
    p::Matrix{Float64}
    f::Array{Float64,4}
    codes::String
end

"Runs `work(member)` for `members`, on threads; returns a return code per member of `n`."
function each_member(work, members, n::Int)
    codes = fill("Success", n)
    function guarded(m)
        try
            work(m)
        catch failure
            code = failure isa Failure ? failure.code :
                   failure isa SingularException ? :SingularMatrix : rethrow()
            codes[m] = String(code)
        end
    end
    if Threads.nthreads() > 1 && length(members) > 1
        Threads.@threads :dynamic for m in members
            guarded(m)
        end
    else
        foreach(guarded, members)
    end
    return codes
end

# The door: whatever Python hands over becomes a plain array here, once.
plain(x::AbstractArray{<:Any,N}) where {N} = Array{Float64,N}(x)
plain_integers(x::AbstractArray{<:Any,N}) where {N} = Array{Int,N}(x)

"""
    build(n_states, n_parameters, n_forcings, n_fluxes, n_values, constants, closures, kernels) -> Model

A model from kernels given as tuples `(source, gather, targets, weights, active, variable)`.
"""
function build(n_states, n_parameters, n_forcings, n_fluxes, n_values, constants, closures, kernels)
    load(k) = Kernel(compile(String(k[1])), plain_integers(k[2]), plain_integers(k[3]), plain(k[4]), k[5], k[6])
    return Base.invokelatest(Model, n_states, n_parameters, n_forcings, n_fluxes, n_values, plain(constants),
                             Tuple(load.(closures)), Tuple(load.(kernels)))
end

"""
    forward(model, breaks, y0, p, f, settings, sensitivity)

Solves all members. `y0` is `(states, members)`, `p` `(parameters, members)` and `f`
`(forcings, 1 or 2, intervals, members)`. `sensitivity` says what is kept for `backward`: "none",
"gauss" or "forward".
"""
function forward(model::Model, breaks, y0, p, f, settings::Settings, sensitivity::String)
    return forward(model, plain(breaks), plain(y0), plain(p), plain(f), settings, sensitivity)
end

function forward(model::Model, breaks::Vector{Float64}, y0::Matrix{Float64}, p::Matrix{Float64},
                 f::Array{Float64,4}, settings::Settings, sensitivity::String)
    members, intervals = size(y0, 2), length(breaks) - 1
    y = fill(NaN, model.n_states, intervals + 1, members)
    q = fill(NaN, model.n_fluxes, intervals, members)
    y[:, 1, :] .= y0
    kept = Vector{Any}(nothing, members)
    codes = each_member(1:members, members) do m
        arguments = (view(y, :, :, m), view(q, :, :, m), model, breaks, view(p, :, m), view(f, :, :, :, m), settings)
        kept[m] = sensitivity == "forward" ? forward_transitions!(arguments...) :
                  forward!(arguments..., sensitivity == "gauss")
    end
    return ForwardResult(y, q, join(codes, ","), Tape(breaks, p, f, settings, kept))
end

"""
    backward(model, tape, y_bar, q_bar, good)

Pulls gradients back for the members numbered in `good`; the others get zeros.
"""
backward(model::Model, tape::Tape, y_bar, q_bar, good) =
    backward(model, tape, plain(y_bar), plain(q_bar), plain_integers(good))

function backward(model::Model, tape::Tape, y_bar::Array{Float64,3}, q_bar::Array{Float64,3}, good::Vector{Int})
    y0_bar, p_bar, f_bar = zeros(model.n_states, size(y_bar, 3)), zero(tape.p), zero(tape.f)
    codes = each_member(good, size(y_bar, 3)) do m
        into = (view(y0_bar, :, m), view(p_bar, :, m), view(f_bar, :, :, :, m))
        bars = (view(y_bar, :, :, m), view(q_bar, :, :, m))
        kept = tape.kept[m]
        if kept isa Array{Float64,3}
            pull_transitions!(into..., model, kept, bars...)
        else
            adjoint!(into..., model, tape.breaks, view(tape.p, :, m), view(tape.f, :, :, :, m), kept, bars..., tape.settings)
        end
    end
    for m in eachindex(codes)
        if codes[m] != "Success"
            y0_bar[:, m] .= 0
            p_bar[:, m] .= 0
            f_bar[:, :, :, m] .= 0
        end
    end
    return BackwardResult(y0_bar, p_bar, f_bar, join(codes, ","))
end
