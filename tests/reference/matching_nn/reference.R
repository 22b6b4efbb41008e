# Nearest-neighbour matching in R's Matching package, on invented counties.
# Run in this folder: Rscript reference.R   (writes simulated_counties.csv, values.json, session.txt)
suppressMessages({library(Matching); library(estimatr); library(sandwich); library(lmtest); library(jsonlite)})
set.seed(4711)
n <- 320
state <- sample(sprintf("%02d", c(6, 8, 19, 27, 36, 41, 48, 53)), n, replace = TRUE)
class <- sample(1:4, n, replace = TRUE)
x1 <- rnorm(n, 0.2 * class); x2 <- rexp(n); x3 <- 0.5 * x1 + rnorm(n); x4 <- runif(n)
p <- plogis(-1.9 + 0.5 * x1 + 0.4 * x3 - 0.3 * x2)
treated <- as.integer(runif(n) < p)
outcome <- 20 + 3 * x1 + 2 * x2 - x3 + 4 * x4 + 1.5 * treated + rnorm(n, sd = 1 + 0.5 * x4)
county_fips <- sprintf("%s%03d", state, 2 * seq_len(n) - 1)
write.csv(data.frame(county_fips, state, class, treated, outcome, x1, x2, x3, x4)[order(county_fips), ],
          "simulated_counties.csv", row.names = FALSE)
d <- read.csv("simulated_counties.csv", colClasses = c(county_fips = "character", state = "character"))
X <- as.matrix(d[, c("x1", "x2", "x3", "x4")]); Y <- d$outcome; Tr <- d$treated
values <- list()
keep <- function(name, m, pairs = FALSE) {
  v <- list(estimate = as.numeric(m$est), std_error = if (is.null(m$se)) NULL else as.numeric(m$se),
            std_error_paired = as.numeric(m$se.standard), pairs = length(m$index.treated),
            dropped = as.integer(sum(Tr) - length(unique(m$index.treated))))
  # Row numbers from 0: who was matched to whom, with the weight of each pair.
  if (pairs) v$matches <- list(treated = m$index.treated - 1, comparison = m$index.control - 1, weight = m$weights)
  values[[name]] <<- v
}
keep("mahalanobis", Match(Y, Tr, X, Weight = 2), TRUE)
keep("mahalanobis_3", Match(Y, Tr, X, M = 3, Weight = 2))
keep("mahalanobis_variance_1", Match(Y, Tr, X, Weight = 2, Var.calc = 1))
keep("mahalanobis_variance_2", Match(Y, Tr, X, M = 2, Weight = 2, Var.calc = 2))
keep("mahalanobis_adjusted", Match(Y, Tr, X, M = 2, Weight = 2, BiasAdjust = TRUE))
keep("mahalanobis_adjusted_variance_2", Match(Y, Tr, X, Weight = 2, BiasAdjust = TRUE, Var.calc = 2))
keep("mahalanobis_caliper", Match(Y, Tr, X, M = 2, Weight = 2, caliper = 0.75), TRUE)
keep("mahalanobis_without", Match(Y, Tr, X, Weight = 2, replace = FALSE), TRUE)
keep("inverse_variance", Match(Y, Tr, X, Weight = 1))
# Exact on a class that is itself no part of the distance: it enters X with weight nearly 0 and must be equal.
S <- scale(X); covariance <- crossprod(S) / nrow(S)
W <- matrix(0, 5, 5); W[1:4, 1:4] <- solve(covariance); W[5, 5] <- 1
keep("mahalanobis_exact", Match(Y, Tr, cbind(X, d$class), Weight = 3, Weight.matrix = W,
                                exact = c(FALSE, FALSE, FALSE, FALSE, TRUE)), TRUE)
# Ties: covariates on a coarse grid.
G <- round(X[, 1:2])
keep("ties", Match(Y, Tr, G, Weight = 1), TRUE)
fit <- glm(treated ~ x1 + x2 + x3 + x4, binomial, d, control = list(epsilon = 1e-14, maxit = 100))
values$logit <- list(coefficients = unname(coef(fit)))
keep("propensity", Match(Y, Tr, as.matrix(fit$linear.predictors)), TRUE)
keep("propensity_3_caliper", Match(Y, Tr, as.matrix(fit$linear.predictors), M = 3, caliper = 0.2))
# Regression on the matched sample, clustered by state (Stata's factor: (N - 1)/(N - k) x G/(G - 1)).
m <- Match(Y, Tr, X, Weight = 2)
w <- as.numeric(Tr == 1) ; k <- tapply(m$weights, factor(m$index.control, levels = seq_len(nrow(d))), sum)
w[Tr == 0] <- ifelse(is.na(k[Tr == 0]), 0, k[Tr == 0])
used <- d[w > 0, ]; used$w <- w[w > 0]
r <- lm_robust(outcome ~ treated, used, weights = w, clusters = state, se_type = "stata")
values$matched_regression <- list(estimate = unname(coef(r)["treated"]), std_error = unname(r$std.error["treated"]),
                                  n = nrow(used), clusters = length(unique(used$state)))
writeLines(toJSON(values, digits = I(17), auto_unbox = TRUE, pretty = TRUE), "values.json")
writeLines(capture.output(sessionInfo()), "session.txt")
