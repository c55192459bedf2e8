"""
Stiff solves and adjoints of control-volume models, for the Python package pydiffgeo.

A model comes as kernels (`kernels.jl`), networks among them (`networks.jl`), from which rates, Jacobian and transposed products are put
together (`model.jl`, `work.jl`). It is solved interval by interval between the breaks of its forcings (`forward.jl`,
with the linear algebra of `elimination.jl`, `sparse_elimination.jl`, of large systems of `fronts.jl`, `multifrontal.jl` and `triangular.jl`), with gradients by the discrete adjoint of Rodas5P
(`discrete_adjoint.jl`; where rates jump with `jumps.jl`), for other solvers by a Gauss adjoint (`gauss_adjoint.jl`), or by forward mode in each interval
(`forward_sensitivity.jl`), and with derivatives along given directions by the tangent of Rodas5P (`tangent.jl`).
`batch.jl` runs many members in one call. Systems of few states have steps of their own (`rosenbrock.jl`), and several members
of them are solved in lockstep on numbers of lanes (`lanes.jl`, `lockstep.jl`), their tangents too (`moves.jl`, `tangent_steps.jl`,
`onward.jl`). Steps of implicit Euler of a stated size, alone or in lockstep, are in `implicit_euler.jl`. States at which nothing changes are found in `steady.jl`, and differentiated in
`steady_derivatives.jl`. The extension `PydiffgeoBridge` differentiates any `ODEProblem`
with SciMLSensitivity.
"""
module PydiffgeoSolvers

using ADTypes: AutoFiniteDiff
using ForwardDiff: ForwardDiff
using FunctionWrappers: FunctionWrapper
using LinearAlgebra
using LinearSolve: LinearSolve, KLUFactorization, LinearCache, SciMLLinearSolveAlgorithm
using OrdinaryDiffEqCore: OrdinaryDiffEqCore
using OrdinaryDiffEqRosenbrock: OrdinaryDiffEqRosenbrock, Rodas5P
using PrecompileTools: @compile_workload, @setup_workload
using SciMLBase: SciMLBase, ODEFunction, ODEProblem, init, solve, step!
using SciMLLogging: SciMLLogging
using SparseArrays

include("interrupts.jl")
include("lanes.jl")
include("elementary.jl")
include("special.jl")
include("compiling.jl")
include("activations.jl")
include("networks.jl")
include("network_kinks.jl")
include("kernels.jl")
include("derive.jl")
include("model.jl")
include("work.jl")
include("discontinuities.jl")
include("error_norm.jl")
include("elimination.jl")
include("small_elimination.jl")
include("sparse_elimination.jl")
include("forward.jl")
include("fronts.jl")
include("multifrontal.jl")
include("triangular.jl")
include("jumps.jl")
include("guards.jl")
include("rodas.jl")
include("steps.jl")
include("rosenbrock.jl")
include("small_switches.jl")
include("small_members.jl")
include("step_matrix.jl")
include("discrete_adjoint.jl")
include("tangent.jl")
include("gauss_adjoint.jl")
include("forward_sensitivity.jl")
include("batch.jl")
include("keeping.jl")
include("reading.jl")
include("crossing.jl")
include("moves.jl")
include("lockstep.jl")
include("tangent_steps.jl")
include("onward.jl")
include("implicit_euler.jl")
include("euler_members.jl")
include("euler_derivatives.jl")
include("steady.jl")
include("steady_derivatives.jl")
include("bridge.jl")
include("precompile.jl")

end
