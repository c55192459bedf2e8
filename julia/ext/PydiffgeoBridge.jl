"Differentiates an `ODEProblem` that a user hands over: dual numbers for few inputs, SciML's Gauss adjoint for many."
module PydiffgeoBridge

using Logging: AbstractLogger, Logging, with_logger
using PydiffgeoSolvers: PydiffgeoSolvers, BridgeGradients, BridgeResult, Failure, Settings, plain, solver
using PydiffgeoSolvers: ForwardDiff, SciMLBase
using SciMLBase: remake, solve
using SciMLSensitivity: GaussAdjoint, ReverseDiffVJP, adjoint_sensitivities

# Inputs up to which forward mode is taken.
const FEW = 50

struct Tape
    sol::Any
    jacobian::Any          # (times * states, inputs), forward mode only
    algorithm::Any
    times::Vector{Float64}
    settings::Settings
end

"Collects warnings: SciML tells of a failed adjoint solve in no other way."
struct Warnings <: AbstractLogger
    heard::Vector{String}
end
Logging.min_enabled_level(::Warnings) = Logging.Warn
Logging.shouldlog(::Warnings, arguments...) = true
Logging.catch_exceptions(::Warnings) = true
Logging.handle_message(w::Warnings, level, message, rest...; kwargs...) = push!(w.heard, string(message))

function run_solver(problem, algorithm, s::Settings; kwargs...)
    sol = Base.invokelatest(solve, problem, algorithm; reltol = s.rtol, abstol = s.atol, maxiters = s.max_steps,
                verbose = PydiffgeoSolvers.QUIET, kwargs...)
    SciMLBase.successful_retcode(sol.retcode) || throw(Failure(Symbol(sol.retcode)))
    return sol
end

"The parameters as the problem has them: a problem without any takes none."
parameters(problem, p) = isempty(p) ? problem.p : p

function PydiffgeoSolvers.bridge_forward(problem, u0, p, times, s::Settings, sensitivity::String)
    u, q, ts = plain(u0), plain(p), plain(times)
    n = length(u)
    algorithm = solver(s.solver, nothing)
    sensitivity == "auto" && (sensitivity = n + length(q) <= FEW ? "forward" : "gauss")
    setup(u, q) = remake(problem; u0 = u, p = parameters(problem, q), tspan = (ts[1], ts[end]))
    try
        if sensitivity == "forward"
            states(x) = reduce(vcat, run_solver(setup(x[1:n], x[n+1:end]), algorithm, s; saveat = ts).u)
            x = vcat(u, q)
            values = states(x)
            jacobian = ForwardDiff.jacobian(states, x)
            return BridgeResult(reshape(values, n, :), "Success", Tape(nothing, jacobian, algorithm, ts, s))
        end
        sol = run_solver(setup(u, q), algorithm, s; dense = true)
        values = reduce(hcat, [sol(t) for t in ts])
        return BridgeResult(values, "Success", Tape(sol, nothing, algorithm, ts, s))
    catch failure
        failure isa Failure || rethrow()
        return BridgeResult(fill(NaN, n, length(ts)), String(failure.code), nothing)
    end
end

function PydiffgeoSolvers.bridge_backward(tape::Tape, bars, n::Int)
    b = plain(bars)
    if !isnothing(tape.jacobian)
        g = transpose(tape.jacobian) * vec(b)
        return BridgeGradients(g[1:n], g[n+1:end], "Success")
    end
    warnings = Warnings(String[])
    # Scaled to size one, so that absolute tolerances mean the same for every loss.
    size = max(maximum(abs, b), floatmin())
    u0, p = with_logger(warnings) do
        adjoint_sensitivities(tape.sol, tape.algorithm; t = tape.times, abstol = tape.settings.atol,
                              reltol = tape.settings.rtol, maxiters = tape.settings.max_steps,
                              sensealg = GaussAdjoint(autojacvec = ReverseDiffVJP()),
                              dgdu_discrete = (out, u, p, t, i) -> (out .= view(b, :, i) ./ size))
    end
    good = isempty(warnings.heard) && all(isfinite, u0) && (isnothing(p) || all(isfinite, p))
    return BridgeGradients(size .* u0, isnothing(p) ? Float64[] : size .* vec(p), good ? "Success" : first([warnings.heard; "NotFinite"]))
end

end
