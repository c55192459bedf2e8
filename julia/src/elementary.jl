# What generated local functions call. Nothing here branches, so that loops over items run on vectors,
# and what is undefined gives NaN, which solvers answer with a smaller step, instead of an exception.

const ROUND = 1.5 * 2.0^52      # adding it rounds a small number to a whole one, in the low bits
const LN2_HIGH = 0x1.62e42feep-1
const LN2_LOW = 0x1.a39ef35793c76p-33

@inline bits(x::Float64) = reinterpret(Int64, x)
@inline float(x::Int64) = reinterpret(Float64, x)

"`exp(x)` to about one unit in the last place; zero below the normal numbers."
@inline function exponential(x::Float64)
    shifted = muladd(x, 1 / log(2.0), ROUND)
    k = shifted - ROUND
    r = muladd(-k, LN2_LOW, muladd(-k, LN2_HIGH, x))
    # Taylor's series: |r| < 0.35, so the first term left out is below 1e-17.
    p = evalpoly(r, (1.0, 1.0, 1 / 2, 1 / 6, 1 / 24, 1 / 120, 1 / 720, 1 / 5040, 1 / 40320, 1 / 362880,
                     1 / 3628800, 1 / 39916800, 1 / 479001600, 1 / 6227020800))
    y = float(bits(p) + (bits(shifted) << 52))
    return ifelse(x > 709.7, ifelse(x > 709.78271289338397, Inf, float(bits(p) + ((bits(shifted) - 1) << 52)) * 2.0),
                  ifelse(x < -708.0, 0.0, y))
end

# The series of Ng's logarithm in FreeBSD's msun, error below 2^-58.
const LOGARITHM = (6.666666666666735130e-01, 3.999999999940941908e-01, 2.857142874366239149e-01,
                   2.222219843214978396e-01, 1.818357216161805012e-01, 1.531383769920937332e-01,
                   1.479819860511658591e-01)

"`log(x)` to about one unit in the last place; NaN for negative `x`."
@inline function logarithm(x::Float64)
    small = x < 2.2250738585072014e-308
    scaled = ifelse(small, x * 2.0^54, x)
    exponent = (bits(scaled) - 0x3fe6a09e667f3bcd % Int64) >> 52
    m = float(bits(scaled) - (exponent << 52))
    k = float(exponent + bits(ROUND)) - ROUND - ifelse(small, 54.0, 0.0)
    f = m - 1.0
    s = f / (2.0 + f)
    z = s * s
    half = 0.5 * f * f
    r = z * evalpoly(z, LOGARITHM)
    y = muladd(k, LN2_HIGH, f - (half - muladd(s, half + r, k * LN2_LOW)))
    return ifelse(x > 0.0, ifelse(x < Inf, y, x), ifelse(x == 0.0, -Inf, NaN))
end

"`tanh(x)`, accurate near zero as well."
@inline function hyperbolic(x::Float64)
    a = abs(x)
    far = 1.0 - 2.0 / (exponential(2.0 * ifelse(a < 20.0, a, 20.0)) + 1.0)
    z = x * x
    near = x * evalpoly(z, (1.0, -1 / 3, 2 / 15, -17 / 315, 62 / 2835, -1382 / 155925, 21844 / 6081075,
                            -929569 / 638512875, 6404582 / 10854718875, -443861162 / 1856156927625,
                            18888466084 / 194896477400625))
    return ifelse(a < 0.25, near, ifelse(x == x, copysign(far, x), x))
end

"`x^y`, where `l` is the logarithm of `|x|`. Negative `x` have whole powers only."
@inline function power(x::Float64, y::Float64, l::Float64)
    m = exponential(y * l)
    whole = y == (y + ROUND) - ROUND
    half = 0.5 * y
    even = half == (half + ROUND) - ROUND
    return ifelse(x > 0.0, m, ifelse(x < 0.0, ifelse(whole, ifelse(even, m, -m), NaN), ifelse(y == 0.0, 1.0, m + x)))
end

@inline power(x::Float64, y::Float64) = power(x, y, logarithm(abs(x)))

@inline whole(x, ::Val{N}) where {N} = N < 0 ? inv(whole(x, Val(-N))) : N == 0 ? one(x) : N == 1 ? x :
    iseven(N) ? (h = whole(x, Val(N ÷ 2)); h * h) : x * whole(x, Val(N - 1))

# Julia's own throw an error at infinity.
@inline sine(x::Float64) = (far = !(abs(x) < Inf); ifelse(far, NaN, sin(ifelse(far, 0.0, x))))
@inline cosine(x::Float64) = (far = !(abs(x) < Inf); ifelse(far, NaN, cos(ifelse(far, 0.0, x))))

@inline root(x::Float64) = ifelse(x >= 0.0, Base.sqrt_llvm(x), NaN)
@inline pick(condition, a::Float64, b::Float64) = ifelse(condition, a, b)
# Unlike `ifelse(b < a, b, a)` these keep a NaN of either argument.
@inline lesser(a::Float64, b::Float64) = ifelse((b < a) | (b != b), b, a)
@inline greater(a::Float64, b::Float64) = ifelse((a < b) | (b != b), b, a)

# On dual numbers, for forward mode.

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

"""
    compile(source) -> function

The local function written in `source`, in a module of its own that knows the functions above.
"""
function compile(source::AbstractString)
    space = Module(:Local)
    Core.eval(space, :(const power, logarithm, exponential, hyperbolic, root, sine, cosine, pick, lesser, greater, whole =
        $power, $logarithm, $exponential, $hyperbolic, $root, $sine, $cosine, $pick, $lesser, $greater, $whole))
    Core.eval(space, :(const exponential_less_one, logarithm_of_one_and, error_function, arctangent =
        $exponential_less_one, $logarithm_of_one_and, $error_function, $arctangent))
    Core.eval(space, :(const hyperbolic_sine, hyperbolic_cosine, frozen = $hyperbolic_sine, $hyperbolic_cosine, $frozen))
    return Core.eval(space, Meta.parse(source))
end
