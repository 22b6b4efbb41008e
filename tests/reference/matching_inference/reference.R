# Averages over all units, regression on matched pairs and doubly robust estimates in R, on the invented counties of
# ../matching_nn. Run in this folder: Rscript reference.R   (writes values.json, session.txt)
suppressMessages({library(Matching); library(sandwich); library(jsonlite)})
d <- read.csv("../matching_nn/simulated_counties.csv", colClasses = c(county_fips = "character", state = "character"))
X <- as.matrix(d[, c("x1", "x2", "x3", "x4")]); Y <- d$outcome; Tr <- d$treated
values <- list()
keep <- function(name, m) values[[name]] <<- list(estimate = as.numeric(m$est), std_error = as.numeric(m$se))
# Average over all counties.
keep("ate", Match(Y, Tr, X, Weight = 2, estimand = "ATE"))
keep("ate_3", Match(Y, Tr, X, M = 3, Weight = 2, estimand = "ATE"))
keep("ate_variance_2", Match(Y, Tr, X, M = 2, Weight = 2, estimand = "ATE", Var.calc = 2))
keep("ate_adjusted", Match(Y, Tr, X, M = 2, Weight = 2, estimand = "ATE", BiasAdjust = TRUE))
keep("atc", Match(Y, Tr, X, M = 2, Weight = 2, estimand = "ATC"))
# Pairs without replacement, in the order of the data; regression on the matched sample.
m <- Match(Y, Tr, X, Weight = 2, replace = FALSE)
used <- rbind(data.frame(d[m$index.treated, ], pair = m$index.treated),
              data.frame(d[m$index.control, ], pair = m$index.treated))
regression <- function(formula) {
  fit <- lm(formula, used)
  error <- function(cluster) sqrt(vcovCL(fit, cluster, type = "HC1")["treated", "treated"])
  list(estimate = unname(coef(fit)["treated"]), by_pair = error(~pair), by_state = error(~state),
       by_both = error(~pair + state), n = nrow(used))
}
values$pairs_plain <- regression(outcome ~ treated)
values$pairs_covariates <- regression(outcome ~ treated + x1 + x2 + x3 + x4)
# Regression adjustment: one regression an arm.
one <- predict(lm(outcome ~ x1 + x2 + x3 + x4, d, subset = treated == 1), d)
zero <- predict(lm(outcome ~ x1 + x2 + x3 + x4, d, subset = treated == 0), d)
values$regression <- list(att = mean((Y - zero)[Tr == 1]), atc = mean((one - Y)[Tr == 0]), ate = mean(one - zero))
# Augmented weighting, weights summing to one in each arm.
p <- fitted(glm(treated ~ x1 + x2 + x3 + x4, binomial, d, control = list(epsilon = 1e-14, maxit = 100)))
values$augmented <- list(
  ate = mean(one) - mean(zero) + weighted.mean((Y - one)[Tr == 1], (1 / p)[Tr == 1]) -
    weighted.mean((Y - zero)[Tr == 0], (1 / (1 - p))[Tr == 0]),
  att = mean(Y[Tr == 1]) - mean(zero[Tr == 1]) - weighted.mean((Y - zero)[Tr == 0], (p / (1 - p))[Tr == 0]),
  atc = mean(one[Tr == 0]) + weighted.mean((Y - one)[Tr == 1], ((1 - p) / p)[Tr == 1]) - mean(Y[Tr == 0]))
# Signed ranks without hidden bias: exact, and with ties by the normal approximation.
difference <- Y[m$index.treated] - Y[m$index.control]
w <- wilcox.test(difference, alternative = "greater", exact = TRUE, conf.int = TRUE)
ties <- suppressWarnings(wilcox.test(round(difference), alternative = "greater", exact = FALSE, correct = FALSE))
values$signed_rank <- list(p_exact = w$p.value, estimate = unname(w$estimate), p_normal_ties = ties$p.value,
                           difference = difference)
writeLines(toJSON(values, digits = I(17), auto_unbox = TRUE, pretty = TRUE), "values.json")
writeLines(capture.output(sessionInfo()), "session.txt")
