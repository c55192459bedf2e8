# Sparse systems that fill up little are KLU's. Packages that Python brings along have what calls it compiled anew, since they
# turn anything into pointers; behind a barrier, the steps and adjoints of this package that want factors are not.

"KLU, called behind a barrier."
struct SparseElimination <: SciMLLinearSolveAlgorithm end

"The linear system as KLU has it, of a type that the compiler is not to know."
struct Behind
    cache::Any
end

LinearSolve.needs_concrete_A(::SparseElimination) = true
LinearSolve.init_cacheval(::SparseElimination, A, b, u, args...) = Behind(Base.invokelatest(klu_cache, A, b, u))

klu_cache(A, b, u) = init(SciMLBase.LinearProblem(A, copy(b); u0 = copy(u)), KLUFactorization(); verbose = QUIET)

function SciMLBase.solve!(cache::LinearCache, alg::SparseElimination; kwargs...)
    answer = Base.invokelatest(solve_klu!, cache.cacheval.cache, cache.A, cache.b, cache.u, cache.isfresh)
    retcode, cache.isfresh = answer::Tuple{SciMLBase.ReturnCode.T,Bool}
    return SciMLBase.build_linear_solution(alg, cache.u, nothing, cache; retcode)
end

"Solves into `x`: what became of it, and whether factors are still to be found."
function solve_klu!(klu, A, b, x, fresh)
    fresh && (klu.A = A)
    klu.b = b
    found = SciMLBase.solve!(klu)
    copyto!(x, found.u)
    return found.retcode, klu.isfresh
end
