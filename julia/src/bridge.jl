# Any `ODEProblem`, whoever made it, as a function of its initial state and parameters. The extension
# that is loaded with SciMLSensitivity adds the methods.

"`bridge_forward(problem, u0, p, times, settings, sensitivity)`: states at `times` and a tape."
function bridge_forward end

"`bridge_backward(tape, bars)`: gradients to the initial state and the parameters."
function bridge_backward end

struct BridgeResult
    u::Matrix{Float64}
    code::String
    tape::Any
end

struct BridgeGradients
    u0::Vector{Float64}
    p::Vector{Float64}
    code::String
end
