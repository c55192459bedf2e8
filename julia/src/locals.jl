# What generated local functions call. Undefined powers, logarithms and roots give NaN, which solvers
# answer with a smaller step, instead of an exception.

"`x^y`. One logarithm and one exponential serve the power and both of its slopes."
@inline function power(x::T, y::T) where {T<:AbstractFloat}
    x > 0 && return exp(y * log(x))
    return x == 0 || isinteger(y) ? x^y : T(NaN)
end

@inline function power(x::ForwardDiff.Dual{T}, y::ForwardDiff.Dual{T}) where {T}
    a, b = ForwardDiff.value(x), ForwardDiff.value(y)
    # 0^y does not change with y > 0, and a negative base has a slope to a whole exponent nowhere.
    a > 0 || return ForwardDiff.Dual{T}(power(a, b), (b * power(a, b - one(b))) * ForwardDiff.partials(x))
    l = log(a)
    v = exp(b * l)
    return ForwardDiff.Dual{T}(v, (b * v / a) * ForwardDiff.partials(x) + (v * l) * ForwardDiff.partials(y))
end

@inline function power(x::ForwardDiff.Dual{T}, y::Real) where {T}
    a = ForwardDiff.value(x)
    b = oftype(a, y)
    v = power(a, b)
    to_x = a > 0 ? b * v / a : b * power(a, b - one(b))
    return ForwardDiff.Dual{T}(v, to_x * ForwardDiff.partials(x))
end

@inline power(x::Real, y::ForwardDiff.Dual{T}) where {T} =
    power(ForwardDiff.Dual{T}(oftype(ForwardDiff.value(y), x), zero(ForwardDiff.partials(y))), y)

@inline logarithm(x) = x >= 0 ? log(x) : oftype(log(one(x)), NaN)
@inline root(x) = x >= 0 ? sqrt(x) : oftype(sqrt(one(x)), NaN)
@inline pick(condition, a, b) = ((x, y) = promote(a, b); ifelse(condition, x, y))
