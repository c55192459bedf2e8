# What the error of a step is measured by. In saturated soil a small change of the water content is a
# large one of the head: states that are controlled through an assigned value count by as much more as that
# value is steeper than its size, so that the tolerance holds for both.

# A step is steep from where a value changes by more than as many percent as this when its state changes by one: moist
# loam has up to seven, clay a dozen, soil close to saturation up to a million. With 50 showers on clay are missed.
const STEEP = 10.0

"""
Sets how much the error of each state counts in the step that starts at `u`, where slopes were just evaluated. Where they
are steep, the step is taken with a share of the tolerances: its error there changes with the parameters far faster
than itself, and gradients of the steps taken would be twenty to two hundred times further off than asked.
"""
function emphasise!(w::Work{T}, u) where {T<:Number8}
    isempty(w.model.controls) && isempty(w.atols) && return nothing
    fill!(w.emphasis, one(T))
    steepest = zero(T)
    @inbounds for c in w.model.controls
        usual = atol_of(w, c.state) + w.rtol * abs(u[c.state])
        if c.value == 0
            w.emphasis[c.state] = greater(w.emphasis[c.state], usual / (w.rtol * c.size))
            continue
        end
        value, slope = w.v[w.model.base+c.value], c.slope == 0 ? zero(T) : abs(w.slopes[c.slope])
        steepness = usual * slope / (w.rtol * (abs(value) + c.size))
        steepest = greater(steepest, steepness)
        w.emphasis[c.state] = greater(w.emphasis[c.state], steepness)
    end
    steep = STEEP < steepest
    if any_lane(steep) && w.steep_share < 1
        w.emphasis ./= pick(steep, T(w.steep_share), one(T))
        note_share!(w, steep)
    end
    isempty(w.atols) || balance!(w, u)
    return nothing
end

atol_of(w::Work, state) = isempty(w.atols) ? w.atol : w.atols[state]

"""
Lets the error of each state count by its own absolute tolerance, where the solver was given the largest of all: with the
size of the state at the start of the step, so that no step is allowed more than both tolerances say.
"""
function balance!(w::Work, u)
    largest = maximum(w.atols)
    @inbounds for i in eachindex(u)
        w.emphasis[i] *= (largest + w.rtol * abs(u[i])) / (w.atols[i] + w.rtol * abs(u[i]))
    end
    return nothing
end

note_share!(w::Work, steep) = (w.share = w.steep_share; nothing)
note_share!(w::Work{Lanes}, steep) = (w.shares[1] = pick(steep, Lanes(w.steep_share), w.shares[1]); nothing)

emphasise!(w::Work, u) = nothing

"The solver's usual norm of errors that are divided by their tolerances, with that emphasis."
struct EmphasisNorm
    work::Work{Float64}
end

(::EmphasisNorm)(x::Number, t) = abs(x)
function (norm::EmphasisNorm)(x::AbstractVector, t)
    sum = 0.0
    @inbounds @simd for i in eachindex(x)
        sum += abs2(norm.work.emphasis[i] * x[i])
    end
    return sqrt(sum / length(x))
end

norm_of(w::Work{Float64}) = EmphasisNorm(w)
norm_of(w::Work) = OrdinaryDiffEqCore.DiffEqBase.ODE_DEFAULT_NORM
