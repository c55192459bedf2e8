# The accepted steps of a member of few states: as `StepRecord`, without the stages, which are computed again where they
# are needed. To write them, and to get the memory for it, took as long as that, and nine times the memory.

struct SmallRecord
    n::Int
    first::Vector{Int}
    sizes::Vector{Float64}
    starts::Vector{Float64}
    points::Vector{Float64}     # (states, steps)
end

SmallRecord(n::Int) = SmallRecord(n, [1], Float64[], Float64[], Float64[])

steps(r::SmallRecord) = length(r.sizes)
spared(r::SmallRecord) = false
bytes(r::SmallRecord) = 8.0 * (2 * length(r.sizes) + length(r.points))
point(r::SmallRecord, step) = view(r.points, (step-1)*r.n+1:step*r.n)
Base.copy(r::SmallRecord) = SmallRecord(r.n, copy(r.first), copy(r.sizes), copy(r.starts), copy(r.points))

function Base.empty!(r::SmallRecord)
    foreach(empty!, (r.first, r.sizes, r.starts, r.points))
    push!(r.first, 1)
    return r
end
