# Local functions written as source, compiled when they are first needed.

"What local functions call."
module Words
using ..PydiffgeoSolvers: arctangent, cosine, error_function, exponential, exponential_less_one, frozen, fused, greater, hyperbolic,
    hyperbolic_cosine, hyperbolic_sine, lesser, logarithm, logarithm_of_one_and, pick, power, root, sine, whole
export arctangent, cosine, error_function, exponential, exponential_less_one, frozen, fused, greater, hyperbolic,
    hyperbolic_cosine, hyperbolic_sine, lesser, logarithm, logarithm_of_one_and, pick, power, root, sine, whole
end

module Local
using ..Words
end

"Where the compiler takes a third of the time, and makes less of what it is given."
module Hasty
using ..Words
Base.Experimental.@optlevel 1
end

"Source of a function that is called so seldom, for its length, that it is compiled in haste."
struct HastySource
    text::String
end

"The local function written in a source."
compile(source::AbstractString) = get(() -> Core.eval(Local, Meta.parse(source)), KNOWN, source)
compile(source::HastySource) = get(() -> Core.eval(Hasty, Meta.parse(source.text)), KNOWN, source.text)

"Functions that were compiled ahead of time, by their source (`keeping.jl`)."
const KNOWN = Dict{String,Function}()

# Lines from which on functions of one step, not of each of its stages, are compiled in haste: the surface of a soil has 700 in
# its slopes and 1,600 in their adjoint. Loops over many items are not: vectors are made of them.
const LONG = 500

"The same source, or what is to be compiled of it in haste."
in_haste(source::AbstractString) = count('\n', source) >= LONG && !occursin("@simd", source) ? HastySource(source) : source
in_haste(source) = source
