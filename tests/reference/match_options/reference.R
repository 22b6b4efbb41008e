# Every option of Match in R's Matching package that the study can use, on invented counties.
# Run in this folder: Rscript reference.R   (writes simulated_counties.csv, values.json, session.txt)
suppressMessages({library(Matching); library(jsonlite)})
set.seed(1903)
n <- 120
class <- sample(1:3, n, replace = TRUE)
x1 <- rnorm(n, 0.2 * class); x2 <- rexp(n); x3 <- 0.5 * x1 + rnorm(n)
treated <- as.integer(runif(n) < plogis(-0.9 + 0.5 * x1 + 0.4 * x3 - 0.2 * x2))
outcome <- 20 + 3 * x1 + 2 * x2 - x3 + 1.5 * treated + rnorm(n, sd = 1 + 0.5 * abs(x1))
weight <- runif(n, 0.5, 2.5)
write.csv(data.frame(treated, outcome, x1, x2, x3, class, weight), "simulated_counties.csv", row.names = FALSE)
d <- read.csv("simulated_counties.csv")
X <- as.matrix(d[, c("x1", "x2", "x3")]); Y <- d$outcome; Tr <- d$treated
XC <- as.matrix(d[, c("x1", "x2", "x3", "class")])
Z <- as.matrix(d[, c("x1", "x2")])
W3 <- matrix(c(2, 0.3, 0.1, 0.3, 1, -0.2, 0.1, -0.2, 0.5), 3, 3)
fit <- glm(treated ~ x1 + x2 + x3, binomial, d, control = list(epsilon = 1e-14, maxit = 100))
score <- as.matrix(unname(fit$linear.predictors))
G <- round(X[, 1:2])
cases <- list(); sets <- list()
# Row numbers from 0; a set is stored once for all cases that share it.
run <- function(set, covariates, estimand = "ATT", M = 1, Weight = 2, replace = TRUE, caliper = NULL, exact = NULL,
                adjust = FALSE, var = 0, sample = FALSE, weights = FALSE, tolerance = 1e-5) {
  m <- Match(Y, Tr, get(covariates), Z = Z, estimand = estimand, M = M, Weight = Weight,
             Weight.matrix = if (Weight == 3) W3 else NULL, replace = replace, ties = TRUE, caliper = caliper,
             exact = exact, BiasAdjust = adjust, Var.calc = var, sample = sample,
             weights = if (weights) d$weight else NULL, distance.tolerance = tolerance)
  sets[[set]] <<- list(treated = m$index.treated - 1, comparison = m$index.control - 1, weight = signif(m$weights, 10))
  cases[[length(cases) + 1]] <<- Filter(Negate(is.null), list(
    set = set, covariates = covariates, estimand = estimand, neighbours = M, distance = Weight, replacement = replace,
    caliper = caliper, exact = exact, adjust = adjust, variance_neighbours = var, sample = sample, weights = weights,
    tolerance = tolerance, estimate = as.numeric(m$est), std_error = if (is.null(m$se)) NULL else as.numeric(m$se),
    unadjusted = as.numeric(m$est.noadj), std_error_paired = as.numeric(m$se.standard)))
}
for (estimand in c("ATT", "ATC", "ATE")) {
  for (M in c(1, 3)) for (Weight in 1:3) for (var in c(0, 1, 4)) for (adjust in c(FALSE, TRUE))
    for (sample in c(FALSE, TRUE))
      run(paste(estimand, M, Weight), "X", estimand, M, Weight, adjust = adjust, var = var, sample = sample)
  for (M in c(1, 3)) for (Weight in 1:3) for (var in c(0, 4)) for (adjust in c(FALSE, TRUE))
    for (sample in c(FALSE, TRUE))
      run(paste(estimand, M, Weight, "weights"), "X", estimand, M, Weight, adjust = adjust, var = var, sample = sample,
          weights = TRUE)
  for (M in c(1, 2)) {
    # Without replacement Match reports no error but that of pairs; a tie tolerance may let it take a
    # second row, so none.
    run(paste(estimand, M, "without"), "X", estimand, M, replace = FALSE, tolerance = 0)
    run(paste(estimand, M, "without caliper"), "X", estimand, M, replace = FALSE, caliper = 0.8, tolerance = 0)
    for (var in c(0, 1, 4)) for (sample in c(FALSE, TRUE)) {
      run(paste(estimand, M, "caliper"), "X", estimand, M, caliper = 0.7, var = var, sample = sample)
      run(paste(estimand, M, "calipers"), "X", estimand, M, caliper = c(0.6, 2, 0.9), var = var, sample = sample,
          adjust = TRUE)
      run(paste(estimand, M, "exact"), "XC", estimand, M, Weight = 1, exact = c(FALSE, FALSE, FALSE, TRUE), var = var,
          sample = sample)
      run(paste(estimand, M, "exact calipers"), "XC", estimand, M, exact = c(FALSE, FALSE, FALSE, TRUE),
          caliper = c(0.8, 2, 2, 1), var = var, sample = sample)
      run(paste(estimand, M, "caliper weights"), "X", estimand, M, caliper = 0.7, var = var, sample = sample,
          weights = TRUE)
      run(paste(estimand, M, "score"), "score", estimand, M, Weight = 1, var = var, sample = sample)
    }
    for (tolerance in c(0, 0.1)) for (var in c(0, 1))
      run(paste(estimand, M, "tolerance", tolerance), "X", estimand, M, tolerance = tolerance, var = var)
    for (var in c(0, 1, 4)) run(paste(estimand, M, "ties"), "G", estimand, M, Weight = 1, var = var)
  }
}
values <- list(score = as.numeric(score), matrix = W3, sets = sets, cases = cases)
writeLines(toJSON(values, digits = I(17), auto_unbox = TRUE), "values.json")
writeLines(capture.output(sessionInfo()), "session.txt")
