# What generated local functions call. Nothing here branches, so that loops over items run on vectors,
# and what is undefined gives NaN, which solvers answer with a smaller step, instead of an exception.

const ROUND = 1.5 * 2.0^52      # adding it rounds a small number to a whole one, in the low bits
const LN2_HIGH = 0x1.62e42feep-1
const LN2_LOW = 0x1.a39ef35793c76p-33

@inline bits(x::Float64) = reinterpret(Int64, x)
@inline float(x::Int64) = reinterpret(Float64, x)
@inline pick(condition::Bool, a::Float64, b::Float64) = ifelse(condition, a, b)

@inline polynomial(x, p::Tuple{Float64}) = p[1]
@inline polynomial(x, p::Tuple) = fused(x, polynomial(x, Base.tail(p)), p[1])

"`exp(x)` to about one unit in the last place; zero below the normal numbers."
@inline function exponential(x::Number8)
    shifted = fused(x, 1 / log(2.0), ROUND)
    k = shifted - ROUND
    r = fused(-k, LN2_LOW, fused(-k, LN2_HIGH, x))
    # Taylor's series: |r| < 0.35, so the first term left out is below 1e-17.
    p = polynomial(r, (1.0, 1.0, 1 / 2, 1 / 6, 1 / 24, 1 / 120, 1 / 720, 1 / 5040, 1 / 40320, 1 / 362880,
                     1 / 3628800, 1 / 39916800, 1 / 479001600, 1 / 6227020800))
    y = float(bits(p) + (bits(shifted) << 52))
    return pick(x > 709.7, pick(x > 709.78271289338397, Inf, float(bits(p) + ((bits(shifted) - 1) << 52)) * 2.0),
                  pick(x < -708.0, 0.0, y))
end

# The series of Ng's logarithm in FreeBSD's msun, error below 2^-58.
const LOGARITHM = (6.666666666666735130e-01, 3.999999999940941908e-01, 2.857142874366239149e-01,
                   2.222219843214978396e-01, 1.818357216161805012e-01, 1.531383769920937332e-01,
                   1.479819860511658591e-01)

"`log(x)` to about one unit in the last place; NaN for negative `x`."
@inline function logarithm(x::Number8)
    small = x < 2.2250738585072014e-308
    scaled = pick(small, x * 2.0^54, x)
    exponent = (bits(scaled) - 0x3fe6a09e667f3bcd % Int64) >> 52
    m = float(bits(scaled) - (exponent << 52))
    k = float(exponent + bits(ROUND)) - ROUND - pick(small, 54.0, 0.0)
    f = m - 1.0
    s = f / (2.0 + f)
    z = s * s
    half = 0.5 * f * f
    r = z * polynomial(z, LOGARITHM)
    y = fused(k, LN2_HIGH, f - (half - fused(s, half + r, k * LN2_LOW)))
    return pick(x > 0.0, pick(x < Inf, y, x), pick(x == 0.0, -Inf, NaN))
end

"`tanh(x)`, accurate near zero as well."
@inline function hyperbolic(x::Number8)
    a = abs(x)
    far = 1.0 - 2.0 / (exponential(2.0 * pick(a < 20.0, a, 20.0)) + 1.0)
    z = x * x
    near = x * polynomial(z, (1.0, -1 / 3, 2 / 15, -17 / 315, 62 / 2835, -1382 / 155925, 21844 / 6081075,
                            -929569 / 638512875, 6404582 / 10854718875, -443861162 / 1856156927625,
                            18888466084 / 194896477400625))
    return pick(a < 0.25, near, pick(x == x, copysign(far, x), x))
end

"`x^y`, where `l` is the logarithm of `|x|`. Negative `x` have whole powers only."
@inline function power(x::T, y::T, l::T) where {T<:Number8}
    m = exponential(y * l)
    whole = y == (y + ROUND) - ROUND
    half = 0.5 * y
    even = half == (half + ROUND) - ROUND
    return pick(x > 0.0, m, pick(x < 0.0, pick(whole, pick(even, m, -m), NaN), pick(y == 0.0, 1.0, m + x)))
end

@inline power(x::T, y::T) where {T<:Number8} = power(x, y, logarithm(abs(x)))

@inline whole(x, ::Val{N}) where {N} = N < 0 ? inv(whole(x, Val(-N))) : N == 0 ? one(x) : N == 1 ? x :
    iseven(N) ? (h = whole(x, Val(N ÷ 2)); h * h) : x * whole(x, Val(N - 1))

# Julia's own throw an error at infinity.
@inline sine(x::Float64) = (far = !(abs(x) < Inf); pick(far, NaN, sin(pick(far, 0.0, x))))
@inline cosine(x::Float64) = (far = !(abs(x) < Inf); pick(far, NaN, cos(pick(far, 0.0, x))))
@inline sine(x::Lanes) = by_lane(sine, x)
@inline cosine(x::Lanes) = by_lane(cosine, x)
# Constants meet numbers of lanes.
@inline power(x::Number8, y::Number8, l::Number8) = power(promote(x, y, l)...)
@inline power(x::Number8, y::Number8) = power(promote(x, y)...)
@inline lesser(a::Number8, b::Number8) = lesser(promote(a, b)...)
@inline greater(a::Number8, b::Number8) = greater(promote(a, b)...)

@inline root(x::Number8) = pick(x >= 0.0, square_root(x), NaN)
@inline square_root(x::Float64) = Base.sqrt_llvm(x)
# Unlike `pick(b < a, b, a)` these keep a NaN of either argument.
@inline lesser(a::T, b::T) where {T<:Number8} = pick((b < a) | (b != b), b, a)
@inline greater(a::T, b::T) where {T<:Number8} = pick((a < b) | (b != b), b, a)

# On dual numbers, for forward mode.

@inline fused(a, b, c) = muladd(a, b, c)
@inline exponential(x) = exp(x)
@inline hyperbolic(x) = tanh(x)
@inline logarithm(x) = x >= 0 ? log(x) : oftype(log(one(x)), NaN)
@inline sine(x) = isfinite(x) ? sin(x) : oftype(sin(one(x)), NaN)
@inline cosine(x) = isfinite(x) ? cos(x) : oftype(cos(one(x)), NaN)
@inline root(x) = x >= 0 ? sqrt(x) : oftype(sqrt(one(x)), NaN)
@inline pick(condition, a, b) = ((x, y) = promote(a, b); ifelse(condition, x, y))
# Of equal numbers the first one counts, as where slopes are written out: tangent and adjoint agree.
@inline lesser(a, b) = pick((b < a) | isnan(b), b, a)
@inline greater(a, b) = pick((a < b) | isnan(b), b, a)
@inline power(x, y, l) = power(x, y)

@inline function power(x::ForwardDiff.Dual{T}, y::ForwardDiff.Dual{T}) where {T}
    a, b = ForwardDiff.value(x), ForwardDiff.value(y)
    # 0^y does not change with y > 0, and a negative base has a slope to a whole exponent nowhere.
    a > 0 || return ForwardDiff.Dual{T}(power(a, b), (b * power(a, b - one(b))) * ForwardDiff.partials(x))
    l = logarithm(a)
    v = exponential(b * l)
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
