# The accepted steps of a member of few states: as `StepRecord`, without the stages, which are computed again where they
# are needed. To write them, and to get the memory for it, took as long as that, and nine times the memory.

struct SmallRecord
    n::Int
    first::Vector{Int}
    data::Vector{Float64}       # of each step: its size, its start, and the states there
end

SmallRecord(n::Int) = SmallRecord(n, [1], Float64[])

steps(r::SmallRecord) = length(r.data) ÷ (r.n + 2)
spared(r::SmallRecord) = false
bytes(r::SmallRecord) = 8.0 * length(r.data)
size_of_step(r::SmallRecord, step) = @inbounds r.data[(step-1)*(r.n+2)+1]
start_of(r::SmallRecord, step) = @inbounds r.data[(step-1)*(r.n+2)+2]
point(r::SmallRecord, step) = view(r.data, (step-1)*(r.n+2)+3:step*(r.n+2))
Base.copy(r::SmallRecord) = SmallRecord(r.n, copy(r.first), copy(r.data))

function Base.empty!(r::SmallRecord)
    empty!(r.data)
    push!(empty!(r.first), 1)
    return r
end
