# Coarsened exact matching and subclassification in MatchIt, the genetic objective in Matching, on invented counties.
# Run in this folder: Rscript reference.R   (writes simulated_counties.csv, values.json, session.txt)
suppressMessages({library(MatchIt); library(Matching); library(jsonlite)})
set.seed(20260102)
n <- 420
class <- sample(1:4, n, replace = TRUE)
x1 <- rnorm(n, 0.2 * class); x2 <- rexp(n); x3 <- rpois(n, 1.2); x4 <- as.integer(runif(n) < 0.4)
score <- -1.1 + 0.6 * x1 + 0.3 * x3 - 0.4 * x2 + 0.3 * x4
treated <- as.integer(runif(n) < plogis(score))
score <- score + rnorm(n, sd = 0.3)
write.csv(data.frame(class, treated, score, x1, x2, x3, x4), "simulated_counties.csv", row.names = FALSE)
d <- read.csv("simulated_counties.csv")
values <- list()
# Strata from 0 in MatchIt's own numbering, -1 for units it leaves out.
sets <- function(m) list(stratum = ifelse(is.na(m$subclass), -1L, as.integer(m$subclass) - 1L),
                         weights = unname(m$weights))
f <- treated ~ x1 + x2 + x3
coarse <- function(name, ...) values[[name]] <<- sets(suppressWarnings(matchit(..., data = d, method = "cem")))
coarse("cem_sturges", f, cutpoints = "sturges")
coarse("cem_scott", f, cutpoints = "scott")
coarse("cem_fd", f, cutpoints = "fd")
coarse("cem_quintiles", f, cutpoints = "q5")
coarse("cem_quintiles_atc", f, cutpoints = "q5", estimand = "ATC")
coarse("cem_quintiles_ate", f, cutpoints = "q5", estimand = "ATE")
coarse("cem_mixed", treated ~ x1 + x2 + x3 + factor(x4),
       cutpoints = list(x1 = c(-1, 0, 0.5, 1.25), x2 = 4, x3 = 0))
# Ties at the quantiles: three quarters of x3 are 0, 1 or 2; Freedman-Diaconis where the quartiles are equal.
d$flat <- ifelse(d$x3 < 3, 0, d$x2)
coarse("cem_ties", treated ~ x1 + flat + x3, cutpoints = list(x1 = "q4", flat = "fd", x3 = "q3"))
# One to one within strata: whom it pairs is MatchIt's own way, how many is not.
m <- suppressWarnings(matchit(f, data = d, method = "cem", cutpoints = "q5", k2k = TRUE))
values$cem_k2k <- list(pairs = sum(m$weights[d$treated == 1] > 0))
values$counts <- lapply(list(x1 = d$x1, x2 = d$x2, x3 = d$x3, flat = d$flat),
                        function(x) c(nclass.Sturges(x), nclass.scott(x), nclass.FD(x)))
classes <- function(name, ..., data = d) {
  m <- suppressWarnings(matchit(treated ~ x1 + x2, data = data, method = "subclass", distance = data$score, ...))
  values[[name]] <<- c(sets(m), list(breaks = unname(m$q.cut)))
}
classes("subclass_6")
classes("subclass_5_atc", subclass = 5, estimand = "ATC")
classes("subclass_5_ate", subclass = 5, estimand = "ATE")
classes("subclass_shares", subclass = c(0.3, 0.8))
classes("subclass_moves", subclass = 25, min.n = 4)
classes("subclass_moves_ate", subclass = 30, min.n = 3, estimand = "ATE")
classes("subclass_pruned", subclass = 60, min.n = 0)
classes("subclass_support", subclass = 5, discard = "both")
r <- transform(d, score = round(score))
classes("subclass_ties", subclass = 8, data = r)
# The genetic objective at given weights: the search is held at one point by its domain. The first 420 rows
# make over 100 pairs (series for the Kolmogorov-Smirnov p value), the first 120 fewer (exact given ties).
genetic <- function(name, rows, w, ...) {
  e <- d[seq_len(rows), ]; X <- as.matrix(e[, c("x1", "x2", "x3", "x4")])
  g <- suppressWarnings(GenMatch(e$treated, X, pop.size = 4, max.generations = 1, wait.generations = 1,
                                 Domains = cbind(w, w), starting.values = w, print.level = 0, ...))
  stopifnot(all(g$par == w))
  m <- Match(Tr = e$treated, X = X, Weight.matrix = g, ...)
  b <- capture.output(mb <- MatchBalance(treated ~ x1 + x2 + x3 + x4, data = e, match.out = m, nboots = 0, ks = TRUE))
  after <- mb$AfterMatching
  values[[name]] <<- list(rows = rows, weights = w, objective = g$value,
    treated = m$index.treated - 1, comparison = m$index.control - 1, share = m$weights,
    t = sapply(after, function(a) a$tt$p.value),
    ks = sapply(after[1:3], function(a) a$ks$ks$p.value))
}
genetic("genetic_equal", 420, c(1, 1, 1, 1))
genetic("genetic_uneven", 420, c(320.9, 0.4, 12.7, 806.5))
genetic("genetic_zero", 420, c(0, 3, 1, 0))
genetic("genetic_two", 420, c(5, 60, 1, 2), M = 2)
genetic("genetic_small", 120, c(1, 1, 1, 1))
genetic("genetic_small_uneven", 120, c(3.5, 0.2, 700, 11))
# Comparison rows' matches, and both directions at once: one list of pairs, treated first.
for (estimand in c("ATC", "ATE")) {
  w <- c(3, 1, 20, 0.5); X <- as.matrix(d[, c("x1", "x2", "x3", "x4")])
  g <- suppressWarnings(GenMatch(d$treated, X, estimand = estimand, pop.size = 4, max.generations = 1,
                                 wait.generations = 1, Domains = cbind(w, w), starting.values = w, print.level = 0))
  values[[paste0("genetic_", tolower(estimand))]] <- list(weights = w, objective = g$value,
    treated = g$matches[, 1] - 1, comparison = g$matches[, 2] - 1, share = g$matches[, 3])
}
# Without replacement, in the order of the data.
g <- suppressWarnings(GenMatch(d$treated, X, replace = FALSE, ties = FALSE, pop.size = 4, max.generations = 1,
                               wait.generations = 1, Domains = cbind(w, w), starting.values = w, print.level = 0))
values$genetic_once <- list(weights = w, objective = g$value, treated = g$matches[, 1] - 1,
                            comparison = g$matches[, 2] - 1)
w <- c(320.9, 0.4, 12.7, 806.5)
g <- suppressWarnings(GenMatch(d$treated, as.matrix(d[, c("x1", "x2", "x3", "x4")]), loss = 2, pop.size = 4,
                               max.generations = 1, wait.generations = 1, Domains = cbind(w, w),
                               starting.values = w, print.level = 0))
values$genetic_worst <- list(weights = w, objective = g$value)
# What a search with population 100 reaches here.
g <- suppressWarnings(GenMatch(d$treated, as.matrix(d[, c("x1", "x2", "x3", "x4")]), pop.size = 100,
                               unif.seed = 3, int.seed = 5, print.level = 0))
values$genetic_search <- list(weights = g$par, objective = g$value)
# Weighted differences under R's own logit score.
fit <- glm(treated ~ x1 + x2 + x3 + x4, binomial, d, control = list(epsilon = 1e-14, maxit = 100))
p <- fitted(fit)
values$score <- list(probability = unname(p),
  overlap_difference = unname(coef(lm(x1 ~ treated, d, weights = ifelse(treated == 1, 1 - p, p)))[2]),
  ate_difference = unname(coef(lm(x1 ~ treated, d, weights = ifelse(treated == 1, 1 / p, 1 / (1 - p))))[2]),
  att_difference = unname(coef(lm(x1 ~ treated, d, weights = ifelse(treated == 1, 1, p / (1 - p))))[2]))
# Entropy balancing by another road: its dual minimised by a quasi-Newton method, means and squares.
Z <- scale(as.matrix(d[, c("x1", "x2", "x3", "x4")])); Z <- cbind(Z, Z[, 1:3]^2)
target <- colMeans(Z[d$treated == 1, ]); A <- sweep(Z[d$treated == 0, ], 2, target)
dual <- function(b) { e <- A %*% b; max(e) + log(mean(exp(e - max(e)))) }
slope <- function(b) { e <- A %*% b; q <- exp(e - max(e)); as.numeric(crossprod(A, q / sum(q))) }
o <- optim(rep(0, ncol(A)), dual, slope, method = "BFGS", control = list(reltol = 1e-16, maxit = 2000))
q <- exp(A %*% o$par - max(A %*% o$par))
values$entropy <- list(weights = as.numeric(q / sum(q) * sum(d$treated)))
# Covariate-balancing score for the ATE by another road: least squares on its moment conditions.
H <- cbind(1, scale(as.matrix(d[, c("x1", "x2", "x3", "x4")])))
moments <- function(b) { p <- plogis(H %*% b); colMeans(H * as.numeric(d$treated / p - (1 - d$treated) / (1 - p))) }
b <- coef(glm(d$treated ~ H - 1, family = binomial))
for (i in 1:50) {
  p <- as.numeric(plogis(H %*% b)); e <- as.numeric(H %*% b)
  J <- -crossprod(H, H * ifelse(d$treated == 1, exp(-e), exp(e))) / nrow(H)
  b <- b - solve(J, moments(b))
}
p <- as.numeric(plogis(H %*% b))
values$cbps_ate <- list(probability = p, moment = max(abs(moments(b))))
# Over-identified: score and balance conditions, their variance at the maximum-likelihood score, the criterion by
# a quasi-Newton method with its slope.
for (estimand in c("ATT", "ATC", "ATE")) {
  D <- if (estimand == "ATC") 1 - d$treated else d$treated
  share <- if (estimand == "ATE") 1 else length(D) / sum(D)
  start <- coef(glm(D ~ H - 1, family = binomial, control = list(epsilon = 1e-14, maxit = 100)))
  parts <- function(b) {
    e <- as.numeric(H %*% b); p <- plogis(e)
    if (estimand == "ATE") list(D - p, D / p - (1 - D) / (1 - p), -p * (1 - p), -D * exp(-e) - (1 - D) * exp(e))
    else list(D - p, share * (D - (1 - D) * exp(e)), -p * (1 - p), -share * (1 - D) * exp(e))
  }
  p <- as.numeric(plogis(H %*% start))
  v <- if (estimand == "ATE") list(p * (1 - p), rep(1, length(D)), 1 / (p * (1 - p)))
       else list(p * (1 - p), share * p, share^2 * p / (1 - p))
  M <- lapply(v, function(a) crossprod(H, H * a) / nrow(H))
  W <- solve(rbind(cbind(M[[1]], M[[2]]), cbind(M[[2]], M[[3]])))
  g <- function(b) { a <- parts(b); c(colMeans(H * a[[1]]), colMeans(H * a[[2]])) }
  G <- function(b) { a <- parts(b); rbind(crossprod(H, H * a[[3]]), crossprod(H, H * a[[4]])) / nrow(H) }
  Q <- function(b) as.numeric(t(g(b)) %*% W %*% g(b)) * nrow(H)
  slope <- function(b) as.numeric(2 * t(G(b)) %*% W %*% g(b)) * nrow(H)
  o <- optim(start, Q, slope, method = "BFGS", control = list(reltol = 1e-18, maxit = 5000))
  p <- as.numeric(plogis(H %*% o$par))
  values[[paste0("cbps_over_", tolower(estimand))]] <- list(statistic = o$value,
    probability = if (estimand == "ATC") 1 - p else p, slope = max(abs(slope(o$par))))
}
writeLines(toJSON(values, digits = I(17), auto_unbox = TRUE), "values.json")
writeLines(capture.output(sessionInfo()), "session.txt")
