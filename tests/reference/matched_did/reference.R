# Matched differences in differences on an invented panel: R's Matching package on the differenced outcome.
# Run in this folder: Rscript reference.R   (writes simulated_panel.csv, values.json, session.txt)
suppressMessages({library(Matching); library(sandwich); library(jsonlite)})
set.seed(20231)
n <- 240; years <- 2008:2016
state <- sample(sprintf("%02d", c(6, 8, 12, 19, 27, 36, 41, 48, 53, 55)), n, replace = TRUE)
urban_class <- sample(c("metro", "small", "rural"), n, replace = TRUE)
poverty <- round(rnorm(n), 4); log_population <- round(rnorm(n, 10 + 0.3 * poverty), 4)
chosen <- runif(n) < plogis(-0.8 + 0.5 * poverty)
cohort <- ifelse(chosen, sample(c(2012, 2014), n, replace = TRUE), NA)
level <- rnorm(n, 40 + 2 * poverty, 4); slope <- rnorm(n, 0.2 * poverty, 0.4)
noise <- t(replicate(n, as.numeric(arima.sim(list(ar = 0.5), length(years)))))
y <- level + outer(slope, seq_along(years)) + noise
y <- y + 1.5 * (!is.na(cohort) & outer(ifelse(is.na(cohort), 9999, cohort), years, "<="))
county_fips <- sprintf("%s%03d", state, 2 * seq_len(n) - 1)
long <- data.frame(county_fips = rep(county_fips, each = length(years)), year = rep(years, n),
                   state = rep(state, each = length(years)), urban_class = rep(urban_class, each = length(years)),
                   cohort = rep(cohort, each = length(years)), poverty = rep(poverty, each = length(years)),
                   log_population = rep(log_population, each = length(years)), outcome = round(as.vector(t(y)), 4))
long <- long[order(long$county_fips, long$year), ]
write.csv(long, "simulated_panel.csv", row.names = FALSE, na = "")
d <- read.csv("simulated_panel.csv", colClasses = c(county_fips = "character", state = "character"))
one <- d[!duplicated(d$county_fips), ]
Y <- matrix(d$outcome, ncol = length(years), byrow = TRUE, dimnames = list(one$county_fips, years))

trend <- function(lags, at) apply(lags, 1, function(v) unname(coef(lm(v ~ at))[2]))
values <- list()
run <- function(name, columns, lag_years, weight = 2, ...) {
  out <- list()
  for (g in c(2012, 2014)) {
    keep <- is.na(one$cohort) | one$cohort == g
    o <- one[keep, ]; W <- Y[keep, ]; Tr <- as.integer(!is.na(o$cohort))
    at <- (g - lag_years):(g - 1); lags <- W[, as.character(at), drop = FALSE]
    X <- NULL
    if ("covariates" %in% columns) X <- cbind(X, o$poverty, o$log_population)
    if ("outcome_lags" %in% columns) X <- cbind(X, lags)
    if ("outcome_trend" %in% columns) X <- cbind(X, trend(lags, at))
    arguments <- list(...)
    if ("propensity" %in% names(arguments)) {
      arguments$propensity <- NULL
      S <- scale(X)
      X <- as.matrix(glm(Tr ~ S, binomial, control = list(epsilon = 1e-14, maxit = 100))$linear.predictors)
    }
    exact <- NULL
    if ("class" %in% names(arguments)) {
      # The class is no part of the distance (a weight of one where it must be equal anyway).
      arguments$class <- NULL
      S <- scale(X); k <- ncol(X); M <- matrix(0, k + 1, k + 1)
      M[1:k, 1:k] <- solve(crossprod(S) / nrow(S)); M[k + 1, k + 1] <- 1
      X <- cbind(X, as.integer(factor(o$urban_class)))
      arguments$Weight.matrix <- M; arguments$exact <- c(rep(FALSE, k), TRUE); weight <- 3
    }
    for (t in setdiff(years, g - 1)) {
      change <- W[, as.character(t)] - W[, as.character(g - 1)]
      m <- do.call(Match, c(list(change, Tr, X, Weight = weight), arguments))
      # Errors: regression of the change on treatment in the matched sample, clustered, factor G / (G - 1).
      k <- numeric(nrow(o)); k[Tr == 1] <- as.numeric(seq_along(Tr) %in% m$index.treated)[Tr == 1]
      sums <- tapply(m$weights, m$index.control, sum); k[as.integer(names(sums))] <- sums
      use <- k > 0; r <- lm(change ~ Tr, weights = k, subset = use)
      error <- function(by) sqrt(vcovCL(r, cluster = by[use], type = "HC0", cadjust = TRUE)[2, 2])
      cell <- list(cohort = g, time = t, estimate = as.numeric(m$est), regression = unname(coef(r)[2]),
                   by_state = error(o$state), by_county = error(o$county_fips), clusters = length(unique(o$state[use])),
                   n_treated = sum(use & Tr == 1), n_counties = sum(use))
      if (t == g) cell$pairs <- list(treated = o$county_fips[m$index.treated],
                                     comparison = o$county_fips[m$index.control], weight = m$weights)
      out[[length(out) + 1]] <- cell
    }
  }
  values[[name]] <<- out
}
run("covariates", "covariates", 1)
run("lags_3", "outcome_lags", 3)
run("lags_1_covariates_3_neighbours", c("covariates", "outcome_lags"), 1, M = 3)
run("trend_4_inverse_variance", c("covariates", "outcome_trend"), 4, weight = 1)
run("lags_and_trend_inverse_variance", c("outcome_lags", "outcome_trend"), 3, weight = 1)
run("lags_3_caliper", "outcome_lags", 3, caliper = 0.5)
run("lags_2_exact", "outcome_lags", 2, class = TRUE)
run("propensity", c("covariates", "outcome_lags"), 3, propensity = TRUE)
writeLines(toJSON(values, digits = I(17), auto_unbox = TRUE, pretty = TRUE), "values.json")
writeLines(capture.output(sessionInfo()), "session.txt")
