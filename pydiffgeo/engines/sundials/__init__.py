"""The embedded engine: SUNDIALS through CasADi, which comes with every installation."""
