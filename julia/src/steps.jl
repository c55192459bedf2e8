# The record of the steps that Rodas5P accepted: what its discrete adjoint and tangent go along.

include("small_records.jl")

"The accepted steps of consecutive intervals: their sizes, and states and stages k of each, or no stages (`Sparing`)."
struct StepRecord
    n::Int
    first::Vector{Int}          # the first step of each interval, and one past the last step
    sizes::Vector{Float64}
    starts::Vector{Float64}     # time since the start of the interval
    points::Vector{Float64}     # (states, steps)
    stages::Vector{Float64}     # (stages, states, steps)
end

StepRecord(n::Int) = StepRecord(n, [1], Float64[], Float64[], Float64[], Float64[])
fields(r::StepRecord) = (r.first, r.sizes, r.starts, r.points, r.stages)
Base.copy(r::StepRecord) = StepRecord(r.n, copy.(fields(r))...)
Base.empty!(r::StepRecord) = (foreach(empty!, fields(r)); push!(r.first, 1); r)

steps(r::StepRecord) = length(r.sizes)
size_of_step(r::StepRecord, step) = r.sizes[step]
start_of(r::StepRecord, step) = r.starts[step]
bytes(r::StepRecord) = 8.0 * (length(r.sizes) + length(r.starts) + length(r.points) + length(r.stages))
point(r::StepRecord, step) = view(r.points, (step-1)*r.n+1:step*r.n)
stages_of(r::StepRecord, step) = reshape(view(r.stages, (step-1)*r.n*STAGES+1:step*r.n*STAGES), STAGES, r.n)

"What steps are remembered in without their stages, which a ninth of the memory suffices for; they are computed again where they are needed."
struct Sparing
    record::StepRecord
end

bytes(r::Sparing) = bytes(r.record)
spared(r::StepRecord) = isempty(r.stages) && steps(r) > 0
spare(r::StepRecord) = StepRecord(r.n, r.first, r.sizes, r.starts, r.points, Float64[])

"""
What is kept of one member: its record, or where that grew too large, the number of steps of each interval
and the size of the step that it began with.
"""
struct MemberRecord
    record::Union{Nothing,StepRecord,SmallRecord}
    counts::Vector{Int}
    initial_steps::Vector{Float64}
end

"States at the end of a step of the interval `j`, the one numbered `at` in the record."
finish_of(r, step, at, y, j) = step + 1 < r.first[at+1] ? point(r, step + 1) : view(y, :, j + 1)

# Where it is known how the solver keeps its numbers.
stage_vectors(integrator) = integrator.cache.ks
work_of(integrator) = integrator.p

function remember!(sparing::Sparing, integrator, t, h)
    r = sparing.record
    push!(r.sizes, h)
    push!(r.starts, t)
    at = length(r.points)
    resize!(r.points, at + r.n)
    copyto!(r.points, at + 1, integrator.uprev, 1, r.n)
    return nothing
end

function remember!(r::StepRecord, integrator, t, h)
    remember!(Sparing(r), integrator, t, h)
    at = length(r.stages)
    resize!(r.stages, at + STAGES * r.n)
    for (i, k) in enumerate(stage_vectors(integrator))
        @inbounds for l in 1:r.n
            r.stages[at+(l-1)*STAGES+i] = k[l]
        end
    end
    return nothing
end

close_interval!(r::StepRecord) = push!(r.first, steps(r) + 1)
close_interval!(r::Sparing) = close_interval!(r.record)

function stepper(w::Work{Float64}, alg, J, s::Settings)
    set_tolerances!(w, s).resolution = s.rtol
    return init(ode_problem(w, zeros(size_of(w.model)), J), alg; reltol = s.rtol, abstol = abstol_of(w, s), maxiters = s.max_steps,
                save_everystep = false, save_start = false, save_end = false, dense = false, verbose = QUIET,
                isoutofdomain = switched, internalnorm = EmphasisNorm(w))
end

"""
Solves `intervals` of one member, one after the other, with one integrator: a one-step method has no
history to mislead it. `record` is what to keep, or nothing. `initial_steps` is the size of the first step to try
in each interval, what the solver would have gone on with from the one before; where it is zero, as at the
start, the solver finds one, which is small and costs more than a refused step does.
"""
function march!(record, initial_steps, y, q, w::Work{Float64}, breaks, f, intervals, s::Settings, counts::Counts, integrator)
    n, u = w.model.n_states, integrator.u
    for j in intervals
        set_interval!(w, view(f, :, :, j), breaks[j+1] - breaks[j])
        @inbounds for i in eachindex(u)
            u[i] = i <= n ? y[i, j] : 0.0
        end
        integrator.opts.dtmax = w.length
        fill!(w.emphasis, 1.0)
        SciMLBase.reinit!(integrator, u; t0 = 0.0, tf = w.length, reset_dt = initial_steps[j] == 0)
        initial_steps[j] == 0 || (integrator.dt = integrator.dtpropose = min(initial_steps[j], w.length))
        longest = 0.0
        accepted, rejected = integrator.stats.naccept, integrator.stats.nreject
        while integrator.t < w.length
            t = integrator.t
            tick!(w)
            step!(integrator)
            code = SciMLBase.check_error(integrator)
            code == SciMLBase.ReturnCode.MaxIters && throw(Failure(out_of_steps(w, s.max_steps)))
            check(code)
            guard!(w, integrator.u, integrator.t)
            record === nothing || remember!(record, integrator, t, integrator.dt)
            longest = max(longest, integrator.t - t)
        end
        # The last step was cut short by the end of the interval, and says less than the longest one.
        j < length(initial_steps) && (initial_steps[j+1] = max(longest, SciMLBase.get_proposed_dt(integrator)))
        counts.steps += integrator.stats.naccept - accepted
        counts.rejections += integrator.stats.nreject - rejected
        u = integrator.u
        all(isfinite, u) || throw(Failure(:NotFinite))
        record === nothing || close_interval!(record)
        @inbounds for i in eachindex(u)
            i <= n ? (y[i, j+1] = u[i]) : (q[i-n, j] = u[i])
        end
    end
    return nothing
end

"What a task needs to solve members, one after the other, and to go along their steps with adjoint or tangent."
mutable struct Workspace{I,A}
    const integrator::I
    const along::A
    scratch::StepRecord     # grows to the longest member, and is copied from
end

function Workspace(model::Model, linear::Bool, s::Settings, clock = Clock(); adjoint = false, directions = 0)
    if is_small(model)
        # What is taken again is a block of intervals that fits into memory.
        free = Settings(s.solver, s.rtol, s.atol, s.max_steps, Inf, s.steep_share, s.atols)
        integrator = Stepper{Float64}(model, linear, free, clock; adjoint, keeps = true)
        along = adjoint ? StepAdjoint(integrator.work, SmallSolver(integrator.space), integrator.tab) :
                directions > 0 ? StepTangent(model, linear, directions, integrator.tab) : nothing
        return Workspace(integrator, along, StepRecord(model.n_states))
    end
    return with_solver(s.solver, step_prototype(model)...) do alg, J
        w = Work{Float64}(model, linear; adjoint, clock)
        integrator = stepper(w, alg, J, s)
        along = adjoint ? step_adjoint(w, fronts_of(model)) :
                directions > 0 ? StepTangent(model, linear, directions, RODAS5P) : nothing
        Workspace(integrator, along, StepRecord(model.n_states))
    end
end

"Solves one member; returns what its discrete adjoint needs where `keep` is set."
function forward_steps!(y, q, workspace::Workspace, breaks, p, f, s::Settings, keep::Bool, counts::Counts)
    w = set_parameters!(workspace.integrator.p, p)
    w.share = 1.0
    record, taken = keep ? empty!(workspace.scratch) : nothing, zeros(Int, length(breaks) - 1)
    initial_steps = zeros(length(taken))
    for j in eachindex(taken)
        before = counts.steps
        march!(record, initial_steps, y, q, w, breaks, f, j:j, s, counts, workspace.integrator)
        taken[j] = counts.steps - before
        record = within(record, s.memory, j / length(taken))
    end
    counts.share = w.share
    return keep ? MemberRecord(handed_over!(workspace, record), taken, initial_steps) : nothing
end

"""
What goes on being remembered: less where the memory allowed is used up, or would be at the end, of which the share `done`
is behind. A record is not cut short before it has half of that memory: the steps of the beginning may be the shortest.
"""
within(record::Nothing, memory, done) = nothing
within(record::Sparing, memory, done) = bytes(record) > memory ? nothing : record
function within(record::StepRecord, memory, done)
    bytes(record) > memory * max(done, 1 / 2) || return record
    return within(Sparing(spare(record)), memory, done)
end

# A record of more bytes is not copied: its memory goes to who keeps it.
const LARGE = 1e6

handed_over!(workspace, record::Nothing) = nothing
handed_over!(workspace, sparing::Sparing) = handed_over!(workspace, sparing.record)
function handed_over!(workspace, record::StepRecord)
    bytes(record) < LARGE && return copy(record)
    workspace.scratch = StepRecord(record.n)
    return record
end

"Blocks of consecutive intervals, last first, whose records stay within the memory allowed, without their stages where `sparing`."
function blocks(kept::MemberRecord, n, memory; sparing = false)
    kept.record === nothing || !sparing && spared(kept.record) || return [1:length(kept.counts)]
    found, last, used = UnitRange{Int}[], length(kept.counts), 0.0
    for j in length(kept.counts):-1:1
        share = 8.0 * kept.counts[j] * (n * (sparing ? 1 : STAGES + 1) + 2)
        if used + share > memory && j < last
            push!(found, j+1:last)
            last, used = j, 0.0
        end
        used += share
    end
    return push!(found, 1:last)
end

"The record of a block of intervals of one member, whose steps are taken again from the states `y`; the work of the integrator has its parameters."
function again(integrator, breaks, f, kept::MemberRecord, y, block, s::Settings; sparing = false)
    w = integrator.p
    record = StepRecord(w.model.n_states)
    y_again, q_again = zeros(w.model.n_states, length(breaks)), zeros(w.model.n_fluxes, length(breaks) - 1)
    y_again[:, first(block)] .= view(y, :, first(block))
    march!(sparing ? Sparing(record) : record, copy(kept.initial_steps), y_again, q_again, w, breaks, f, block, s, Counts(), integrator)
    return record
end
