# A model as Python writes it: values of any kind, nested as they like, in one text, one vector of integers and one of
# numbers. What is compiled to read these is compiled with the package; Python's own objects would take more than a second.

"What is left to read."
mutable struct Reader
    const text::String
    const whole::Vector{Int}
    const numbers::Vector{Float64}
    character::Int
    integer::Int
    number::Int
end

function next_integer!(r::Reader)
    r.integer += 1
    return r.whole[r.integer]
end

function next_text!(r::Reader, size)
    r.character += size
    return r.text[r.character-size+1:r.character]
end

function next_integers!(r::Reader, size)
    r.integer += size
    return r.whole[r.integer-size+1:r.integer]
end

function next_numbers!(r::Reader, size)
    r.number += size
    return r.numbers[r.number-size+1:r.number]
end

"The next value: an integer says of which kind it is, and another one is it, or its size."
function next_value!(r::Reader)
    kind, size = next_integer!(r), next_integer!(r)
    kind == 0 && return size
    kind == 1 && return size != 0
    kind == 2 && return next_text!(r, size)
    kind == 3 && return next_integers!(r, size)
    kind == 4 && return next_numbers!(r, size)
    return Any[next_value!(r) for _ in 1:size]
end

"""
    build(text, whole, numbers) -> Model

A model from the arguments of `build`, written by `pydiffgeo/engines/julia/writing.py`; the text is of ASCII.
"""
function build(text::String, whole::Vector{Int}, numbers::Vector{Float64})
    push!(BUILT, text)
    recall(text)
    return build(next_value!(Reader(text, whole, numbers, 0, 0, 0))...)
end
