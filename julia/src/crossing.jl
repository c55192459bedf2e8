# What crosses between Python and Julia. juliacall converts values of any kind, and compiles for the first of each: two
# seconds of a first result. So Python calls all of this package through one function of C, compiled with the package: it
# reads a call as integers and leaves the answer as integers (`pydiffgeo/engines/julia/crossing.py`). Arrays and texts
# cross as their address and size; everything else of Julia stays here and crosses as its number.

"Kinds of values; the first five as in `reading.jl`."
module Kind
const WHOLE, TRUTH, TEXT, WHOLES, NUMBERS, NUMBER, LENT, HELD, NOTHING, FAILURE = 0:9
end

"A copy of numbers, or of integers, in Python's memory."
numbers_at(address::Int, size::Int) = copy(unsafe_wrap(Vector{Float64}, Ptr{Float64}(address), size))
integers_at(address::Int, size::Int) = copy(unsafe_wrap(Vector{Int}, Ptr{Int}(address), size))

"Numbers in Python's memory as they are: only while it is held there."
lent_at(address::Int, size::Int) = unsafe_wrap(Vector{Float64}, Ptr{Float64}(address), size)

"What Python holds, by number, and the last number that was given."
const KEPT, LAST = Dict{Int,Any}(), Ref(0)
"What the last answer gave the address of: Python copies it before its next call."
const SHOWN = Ref{Any}(nothing)

held(number::Int) = KEPT[number]

"Lets go of what Python holds no longer."
let_go(numbers::Vector{Int}) = foreach(number -> delete!(KEPT, number), numbers)

"A part of what Python holds."
part(@nospecialize(whole), name::String) = getproperty(whole, Symbol(name))

"Calls a function of this package by its name."
door(@nospecialize(name), @nospecialize(arguments...)) = getglobal(PydiffgeoSolvers, Symbol(name))(arguments...)

"A value that Python handed over: its kind, and two integers that are it."
function taken(kind::Int, a::Int, b::Int)
    kind == Kind.WHOLE && return a
    kind == Kind.TRUTH && return a != 0
    kind == Kind.TEXT && return unsafe_string(Ptr{UInt8}(a), b)
    kind == Kind.WHOLES && return integers_at(a, b)
    kind == Kind.NUMBERS && return numbers_at(a, b)
    kind == Kind.NUMBER && return reinterpret(Float64, a)
    kind == Kind.LENT && return lent_at(a, b)
    return held(a)
end

"A value for Python: its kind, and either itself, or the address and the sizes of an array or text, or a number that stands for it."
crossed(x::Int) = [Kind.WHOLE, x]
crossed(x::Bool) = [Kind.TRUTH, x]
crossed(x::Float64) = [Kind.NUMBER, reinterpret(Int, x)]
crossed(::Nothing) = [Kind.NOTHING]
crossed(x::String, kind = Kind.TEXT) = (SHOWN[] = x; [kind, Int(pointer(x)), sizeof(x)])
crossed(x::Array{Float64}) = (SHOWN[] = x; [Kind.NUMBERS, Int(pointer(x)), ndims(x), size(x)...])
crossed(x::Array{Int}) = (SHOWN[] = x; [Kind.WHOLES, Int(pointer(x)), ndims(x), size(x)...])
crossed(x::Array{Bool}) = crossed(Array{Int}(x))

function crossed(@nospecialize(x))
    number = LAST[] += 1
    KEPT[number] = x
    return [Kind.HELD, number]
end

"What an error says, and the way it came."
function told(@nospecialize(failure), way)
    try
        return sprint(showerror, failure, way)
    catch    # an error whose words are an error
        return string(typeof(failure))
    end
end

"Does the call of `count` values at `words`, three integers each, the name of a function first; leaves the answer there."
function answer!(words::Ptr{Int}, count::Int)
    said = try
        crossed(door((taken(unsafe_load(words, i), unsafe_load(words, i + 1), unsafe_load(words, i + 2)) for i in 1:3:3count)...))
    catch failure
        crossed(told(failure, catch_backtrace()), Kind.FAILURE)
    end
    foreach(i -> unsafe_store!(words, said[i], i), eachindex(said))
    return nothing
end

"The address of `answer!` for a caller in C: any thread, which becomes one of Julia's."
entrance() = Int(@cfunction(answer!, Cvoid, (Ptr{Int}, Int)))
