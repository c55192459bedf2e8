# The Rosenbrock methods of small systems, and of the discrete adjoint and tangent of large ones: Rodas5P (Steinebach 2023, BIT 63,
# 27), and for loose tolerances Rodas3P (Steinebach 2024, Proc. JuliaCon Conf.), whose five stages are at three points: what
# rates cost there is paid three times, not eight. Both are L-stable and stiffly accurate.

# An error counts as no smaller, over its tolerance, where that of the next step is predicted.
const LEAST = 1e-2

"A method of `N` stages, in the form of Hairer and Wanner 1996, IV.7 (`discrete_adjoint.jl`)."
struct Rodas{N}
    A::Matrix{Float64}
    C::Matrix{Float64}
    b::Vector{Float64}
    btilde::Vector{Float64}     # of the error estimate
    c::Vector{Float64}
    d::Vector{Float64}
    gamma::Float64
    H::Matrix{Float64}          # of the polynomial through a step, (powers, stages)
    beta::Vector{Float64}       # `b` as weights of rates, over gamma h, of integrated fluxes, which act on nothing;
    beta_tilde::Vector{Float64} # the same of `btilde`
    order::Int                  # of the method; the error estimate is of one less
    least::Float64              # root of an error, where that of the next step is predicted
    points::NTuple{N,Int}       # the point, counted from one, that each stage is at;
    opens::NTuple{N,Bool}       # whether it is the first there,
    closes::NTuple{N,Bool}      # and whether it is the last
end

stage_count(::Rodas{N}) where {N} = N

function Rodas{N}(tab, order, powers) where {N}
    place(i) = (tab.A[i, :], tab.c[i])
    distinct = unique(place.(1:N))
    points = ntuple(i -> findfirst(==(place(i)), distinct), Val(N))
    alone(i, others) = !any(j -> points[j] == points[i], others)
    opens, closes = ntuple(i -> alone(i, 1:i-1), Val(N)), ntuple(i -> alone(i, i+1:N), Val(N))
    betas = of_rates.((tab.b, tab.btilde), Ref(tab))
    return Rodas{N}(tab.A, tab.C, tab.b, tab.btilde, tab.c, tab.d, tab.gamma, tab.H[1:powers, :], betas..., order, LEAST^(1 / order), points, opens, closes)
end

"Weights of stages as those of the rates that they are made of: a rate counts in its stage, and in all after it."
function of_rates(weights, tab)
    beta = Float64.(weights)
    for i in length(beta)-1:-1:1, j in i+1:length(beta)
        beta[i] += tab.C[j, i] * tab.gamma * beta[j]
    end
    return beta
end

const RODAS5P = Rodas{8}(OrdinaryDiffEqRosenbrock.Rodas5PTableau(Float64, Float64), 5, 3)
const RODAS3P = Rodas{5}(OrdinaryDiffEqRosenbrock.Rodas3PRodasTableau(Float64, Float64), 3, 2)

"Methods whose discrete adjoint and tangent are here, by their names; the second is for small systems."
method_of(name::String) = name == "Rodas3P" ? RODAS3P : RODAS5P
steps_here(name::String) = name == "Rodas5P" || name == "Rodas3P"

"Stages of the method of large systems, and the most there are."
const STAGES = 8
