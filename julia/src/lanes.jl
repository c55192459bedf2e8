# A number of each of several members of a batch, which one instruction works on: members of a small model are solved
# in lockstep (`rosenbrock.jl`) by the same functions as one alone, on these numbers in the place of plain ones.

"How many members are solved in lockstep."
const WIDTH = 16

const Doubles = NTuple{WIDTH,VecElement{Float64}}
const Integers = NTuple{WIDTH,VecElement{Int64}}
const Bools = NTuple{WIDTH,VecElement{Bool}}

"A number for each lane."
struct Lanes <: Real
    v::Doubles
end

"A whole number for each lane: the bits of a `Lanes`."
struct Bits
    v::Integers
end

"Whether something holds, for each lane."
struct Mask
    v::Bools
end

const Number8 = Union{Float64,Lanes}

Lanes(x::Lanes) = x
@inline Lanes(x::Real) = Lanes(ntuple(_ -> VecElement(Float64(x)), Val(WIDTH)))
@inline Bits(x::Integer) = Bits(ntuple(_ -> VecElement(Int64(x)), Val(WIDTH)))
Mask(x::Bool) = Mask(ntuple(_ -> VecElement(x), Val(WIDTH)))
Base.promote_rule(::Type{Lanes}, ::Type{<:Union{AbstractFloat,Integer,Rational,AbstractIrrational}}) = Lanes
Base.convert(::Type{Lanes}, x::Real) = Lanes(x)
Base.zero(::Type{Lanes}) = Lanes(0.0)
Base.one(::Type{Lanes}) = Lanes(1.0)
Base.show(io::IO, x::Lanes) = print(io, "Lanes", map(e -> e.value, x.v))

# Instructions of LLVM on all lanes at once.
for (f, instruction) in ((:+, "fadd"), (:-, "fsub"), (:*, "fmul"), (:/, "fdiv"))
    code = "%r = $instruction <$WIDTH x double> %0, %1\nret <$WIDTH x double> %r"
    @eval @inline Base.$f(a::Lanes, b::Lanes) = Lanes(Base.llvmcall($code, Doubles, Tuple{Doubles,Doubles}, a.v, b.v))
end
for (f, comparison) in ((:<, "olt"), (:<=, "ole"), (:(==), "oeq"), (:!=, "une"))
    code = "%c = fcmp $comparison <$WIDTH x double> %0, %1\n%r = zext <$WIDTH x i1> %c to <$WIDTH x i8>\nret <$WIDTH x i8> %r"
    @eval @inline Base.$f(a::Lanes, b::Lanes) = Mask(Base.llvmcall($code, Bools, Tuple{Doubles,Doubles}, a.v, b.v))
end
for (f, instruction) in ((:&, "and"), (:|, "or"))
    code = "%r = $instruction <$WIDTH x i8> %0, %1\nret <$WIDTH x i8> %r"
    @eval @inline Base.$f(a::Mask, b::Mask) = Mask(Base.llvmcall($code, Bools, Tuple{Bools,Bools}, a.v, b.v))
end
@eval @inline Base.:(!)(a::Mask) = Mask(Base.llvmcall($("""
    %c = trunc <$WIDTH x i8> %0 to <$WIDTH x i1>
    %n = xor <$WIDTH x i1> %c, <$(join(fill("i1 true", WIDTH), ", "))>
    %r = zext <$WIDTH x i1> %n to <$WIDTH x i8>
    ret <$WIDTH x i8> %r"""), Bools, Tuple{Bools}, a.v))
@inline Base.:(&)(a::Mask, b::Bool) = a & Mask(b)
@inline Base.:(&)(a::Bool, b::Mask) = Mask(a) & b

intrinsic(name, arguments) = ("""
    declare <$WIDTH x double> @llvm.$name.v$(WIDTH)f64($(join(fill("<$WIDTH x double>", arguments), ", ")))
    define <$WIDTH x double> @entry($(join(fill("<$WIDTH x double>", arguments), ", "))) alwaysinline {
    %r = call <$WIDTH x double> @llvm.$name.v$(WIDTH)f64($(join(("<$WIDTH x double> %$i" for i in 0:arguments-1), ", ")))
    ret <$WIDTH x double> %r
    }""", "entry")
for (f, name) in ((:square_root, "sqrt"), (:(Base.abs), "fabs"))
    @eval @inline $f(a::Lanes) = Lanes(Base.llvmcall($(intrinsic(name, 1)), Doubles, Tuple{Doubles}, a.v))
end
@eval @inline Base.copysign(a::Lanes, b::Lanes) =
    Lanes(Base.llvmcall($(intrinsic("copysign", 2)), Doubles, Tuple{Doubles,Doubles}, a.v, b.v))
@eval @inline Base.muladd(a::Lanes, b::Lanes, c::Lanes) =
    Lanes(Base.llvmcall($(intrinsic("fmuladd", 3)), Doubles, Tuple{Doubles,Doubles,Doubles}, a.v, b.v, c.v))
# One rounding where the machine has an instruction for it, so that a member is solved alike alone and in lockstep:
# what `muladd` becomes is up to the compiler.
@inline fused(a::Float64, b::Float64, c::Float64) = Core.Intrinsics.have_fma(Float64) ? fma(a, b, c) : a * b + c
@eval @inline fused(a::Lanes, b::Lanes, c::Lanes) = Core.Intrinsics.have_fma(Float64) ?
    Lanes(Base.llvmcall($(intrinsic("fma", 3)), Doubles, Tuple{Doubles,Doubles,Doubles}, a.v, b.v, c.v)) : a * b + c
@inline fused(a::Number8, b::Number8, c::Number8) = fused(promote(a, b, c)...)
@eval @inline Base.:(-)(a::Lanes) = Lanes(Base.llvmcall(
    $("%r = fneg <$WIDTH x double> %0\nret <$WIDTH x double> %r"), Doubles, Tuple{Doubles}, a.v))
@inline Base.inv(a::Lanes) = 1.0 / a
@inline Base.abs2(a::Lanes) = a * a

@eval @inline pick(c::Mask, a::Lanes, b::Lanes) = Lanes(Base.llvmcall($("""
    %c = trunc <$WIDTH x i8> %0 to <$WIDTH x i1>
    %r = select <$WIDTH x i1> %c, <$WIDTH x double> %1, <$WIDTH x double> %2
    ret <$WIDTH x double> %r"""), Doubles, Tuple{Bools,Doubles,Doubles}, c.v, a.v, b.v))
@inline pick(c::Mask, a, b) = pick(c, Lanes(a), Lanes(b))
@inline pick(c::Bool, a::Lanes, b::Lanes) = ifelse(c, a, b)

# Bits, for the functions of `elementary.jl`.
for (f, instruction) in ((:+, "add"), (:-, "sub"))
    code = "%r = $instruction <$WIDTH x i64> %0, %1\nret <$WIDTH x i64> %r"
    @eval @inline Base.$f(a::Bits, b::Bits) = Bits(Base.llvmcall($code, Integers, Tuple{Integers,Integers}, a.v, b.v))
    @eval @inline Base.$f(a::Bits, b::Int64) = $f(a, Bits(b))
end
for (f, instruction) in ((:<<, "shl"), (:>>, "ashr"))
    code = "%r = $instruction <$WIDTH x i64> %0, %1\nret <$WIDTH x i64> %r"
    @eval @inline Base.$f(a::Bits, b::Int) = Bits(Base.llvmcall($code, Integers, Tuple{Integers,Integers}, a.v, Bits(b).v))
end
@eval @inline bits(x::Lanes) = Bits(Base.llvmcall(
    $("%r = bitcast <$WIDTH x double> %0 to <$WIDTH x i64>\nret <$WIDTH x i64> %r"), Integers, Tuple{Doubles}, x.v))
@eval @inline float(x::Bits) = Lanes(Base.llvmcall(
    $("%r = bitcast <$WIDTH x i64> %0 to <$WIDTH x double>\nret <$WIDTH x double> %r"), Doubles, Tuple{Integers}, x.v))

# One lane of many, and what holds for any: of plain numbers, which have one lane, as well.

lanes(::Type{Float64}) = 1
lanes(::Type{Lanes}) = WIDTH
mask_type(::Type{Float64}) = Bool
mask_type(::Type{Lanes}) = Mask

@inline lane(x::Float64, l) = x
@inline lane(x::Lanes, l) = @inbounds x.v[l].value
@inline lane(x::Bool, l) = x
@inline lane(x::Mask, l) = @inbounds x.v[l].value
@inline any_lane(x::Bool) = x
@eval @inline any_lane(x::Mask) = Base.llvmcall($("""
    %c = trunc <$WIDTH x i8> %0 to <$WIDTH x i1>
    %i = bitcast <$WIDTH x i1> %c to i$WIDTH
    %n = icmp ne i$WIDTH %i, 0
    %r = zext i1 %n to i8
    ret i8 %r"""), Bool, Tuple{Bools}, x.v)

"Sets one lane of an element of an array."
@inline function set_lane!(x::Array{Lanes}, i, l, value)
    GC.@preserve x unsafe_store!(Ptr{Float64}(pointer(x)), value, (i - 1) * WIDTH + l)
    return nothing
end
@inline set_lane!(x::Array{Float64}, i, l, value) = (@inbounds x[i] = value; nothing)
@inline get_lane(x::Array{Lanes}, i, l) = GC.@preserve x unsafe_load(Ptr{Float64}(pointer(x)), (i - 1) * WIDTH + l)
@inline get_lane(x::Array{Float64}, i, l) = @inbounds x[i]

"The numbers of all lanes, from a vector of as many."
@inline load_lanes(::Type{Float64}, x::Vector{Float64}) = @inbounds x[1]
@inline load_lanes(::Type{Lanes}, x::Vector{Float64}) = Lanes(ntuple(l -> @inbounds(VecElement(x[l])), Val(WIDTH)))
@inline store_lanes!(x::Vector{Float64}, a) = (for l in eachindex(x) @inbounds x[l] = lane(a, l) end; x)

# What the processor is to fetch from memory, since it is asked for a step later: the members of lanes lie so far apart that it
# does not foresee it. Text of LLVM of later versions of Julia has other types of pointers: there nothing is fetched early.
@static if VERSION < v"1.12-"
    @inline fetch_early(address::UInt64) = Base.llvmcall(("""
        declare void @llvm.prefetch.p0i8(i8*, i32, i32, i32)
        define void @entry(i64) alwaysinline {
        %p = inttoptr i64 %0 to i8*
        call void @llvm.prefetch.p0i8(i8* %p, i32 0, i32 3, i32 1)
        ret void
        }""", "entry"), Cvoid, Tuple{UInt64}, address)
else
    @inline fetch_early(address::UInt64) = nothing
end

@inline fetch_early(x::Vector{Float64}, i::Int) = GC.@preserve x fetch_early(UInt64(pointer(x, i)))

"Fetches a column of an array, given by its other indices, early: its first and its last number."
@inline function fetch_early(x::Array{Float64}, indices...)
    n = size(x, 1)
    n == 0 && return nothing
    first = @inbounds LinearIndices(x)[1, indices...]
    GC.@preserve x (fetch_early(UInt64(pointer(x, first))); fetch_early(UInt64(pointer(x, first + n - 1))))
    return nothing
end

"`f` of each lane by itself, where there is no instruction for it."
@inline by_lane(f::F, x::Lanes) where {F} = Lanes(ntuple(l -> VecElement(f(x.v[l].value)), Val(WIDTH)))

"A function over matrices of plain numbers, applied lane by lane."
struct ByLane{F}
    f::F
end

function (b::ByLane)(matrices::Vararg{Matrix{Lanes}})
    plain = map(x -> zeros(size(x)), matrices)
    for l in 1:WIDTH
        foreach((p, x) -> (for i in eachindex(x) p[i] = get_lane(x, i, l) end), plain, matrices)
        b.f(plain...)
        foreach((p, x) -> (for i in eachindex(x) set_lane!(x, i, l, p[i]) end), plain, matrices)
    end
    return nothing
end
