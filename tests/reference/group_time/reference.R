# Group-time effects from base R's lm and glm, on an invented staggered panel. The package did is not in Debian, so
# every cell is computed from its definition: Sant'Anna and Zhao (2020) estimators, influence functions by their
# score equations (stacked estimating equations, numerical derivatives), not by the closed forms of the study's code.
# Run in this folder: Rscript reference.R   (writes simulated_panel.csv, values.json, session.txt)
suppressMessages(library(jsonlite))
set.seed(31337)
prefix <- c("06", "08", "17", "19", "27", "36", "41", "48", "53", "55")
n <- 260; years <- 2010:2016
state <- rep(prefix, length.out = n)
county <- sprintf("%s%03d", state, 2 * seq_len(n) - 1)
poverty <- rnorm(n); log_population <- rnorm(n, 10) + 0.3 * poverty
u <- runif(n) - 0.12 * poverty
cohort <- ifelse(u < 0.16, 2013, ifelse(u < 0.36, 2014, ifelse(u < 0.45, 2015, NA)))
weight <- round(exp(rnorm(n, 11, 0.8)))
region <- matrix(rnorm(10 * 7), 10)
d <- do.call(rbind, lapply(seq_len(n), function(i) {
  e <- ifelse(is.na(cohort[i]), -1, years - cohort[i])
  data.frame(county_fips = county[i], state = state[i], year = years, cohort = cohort[i], weight = weight[i],
    poverty = round(poverty[i], 6), log_population = round(log_population[i], 6),
    outcome = round(25 + 3 * poverty[i] + 0.3 * poverty[i] * (years - 2010) + region[match(state[i], prefix), ] +
                    (e >= 0) * (-1 - 0.5 * e) + rnorm(7), 6))
}))
d <- d[order(d$county_fips, d$year), ]
write.csv(d, "simulated_panel.csv", row.names = FALSE, na = "")
d <- read.csv("simulated_panel.csv", colClasses = c(county_fips = "character", state = "character"))
wide <- reshape(d, direction = "wide", idvar = "county_fips", timevar = "year", v.names = "outcome")
y <- function(t) wide[[paste0("outcome.", t)]]

cell <- function(g, t, method, covariates, comparison, weighted, within) {
  b <- g - 1
  D <- as.integer(!is.na(wide$cohort) & wide$cohort == g)
  C <- if (comparison == "never_treated") is.na(wide$cohort) else is.na(wide$cohort) | (wide$cohort > max(t, b) & D == 0)
  use <- D == 1 | C
  if (within) use <- use & wide$state %in% intersect(wide$state[D == 1], wide$state[C & D == 0])
  f <- wide[use, ]; D <- D[use]; dy <- (y(t) - y(b))[use]; w <- if (weighted) f$weight / mean(f$weight) else rep(1, nrow(f))
  right <- c(if (covariates) c("poverty", "log_population"), if (within && length(unique(f$state)) > 1) "factor(state)")
  X <- model.matrix(as.formula(paste("~", if (length(right)) paste(right, collapse = " + ") else "1")), f)
  k <- ncol(X)
  beta <- if (method != "inverse_weighting") coef(lm(dy ~ X - 1, subset = D == 0, weights = w)) else rep(0, k)
  gamma <- if (method != "outcome_regression")
    coef(suppressWarnings(glm(D ~ X - 1, family = binomial, weights = w, control = list(epsilon = 1e-15, maxit = 200)))) else rep(0, k)
  beta <- unname(beta); gamma <- unname(gamma)
  # Estimating equations, row by row; theta = (beta, gamma, comparison means by stratum, effect). Inverse weights are
  # normalised within strata, doubly robust ones over the cell, outcome regression predicts for the treated.
  S <- if (within && method == "inverse_weighting") factor(f$state) else factor(rep("all", nrow(f)))
  H <- outer(as.character(S), levels(S), "==") * 1; s <- ncol(H)
  moments <- function(theta) {
    be <- theta[1:k]; ga <- theta[k + 1:k]; m0 <- theta[2 * k + 1:s]; att <- theta[2 * k + s + 1]
    fitted <- as.vector(X %*% be); p <- as.vector(plogis(X %*% ga)); odds <- p / (1 - p); r <- dy - fitted
    level <- as.vector(H %*% m0)
    if (method == "outcome_regression")
      return(cbind(w * (1 - D) * r * X, matrix(0, nrow(X), k), w * D * (fitted - level), w * D * (dy - level - att)))
    cbind(w * (1 - D) * r * X, w * (D - p) * X, w * (1 - D) * odds * (r - level) * H, w * D * (r - level - att))
  }
  fitted <- as.vector(X %*% beta); odds <- exp(as.vector(X %*% gamma)); r <- dy - fitted
  if (method == "outcome_regression") {
    m0 <- weighted.mean(fitted, w * D); att <- weighted.mean(dy, w * D) - m0
  } else {
    q <- w * (1 - D) * odds
    m0 <- as.vector(crossprod(H, q * r) / crossprod(H, q)); att <- weighted.mean(r - as.vector(H %*% m0), w * D)
  }
  theta <- c(beta, gamma, m0, att)
  live <- c(if (method != "inverse_weighting") 1:k, if (method != "outcome_regression") k + 1:k, 2 * k + 1:(s + 1))
  J <- sapply(live, function(j) {   # five-point derivative of the summed moments
    h <- 1e-3 * max(1, abs(theta[j])); at <- function(s) { th <- theta; th[j] <- th[j] + s * h; colSums(moments(th))[live] }
    (at(-2) - 8 * at(-1) + 8 * at(1) - at(2)) / (12 * h)
  })
  psi <- -moments(theta)[, live] %*% t(solve(J))
  contribution <- psi[, length(live)]
  all <- rep(0, nrow(wide)); all[use] <- contribution
  list(estimate = att, influence = all, n = sum(use), n_treated = sum(D), share = sum(w * D),
       member = replace(rep(0, nrow(wide)), use, D * (if (weighted) f$weight else 1)))
}
values <- list()
for (comparison in c("never_treated", "not_yet_treated")) for (weighted in c(FALSE, TRUE))
  for (covariates in c(FALSE, TRUE)) for (within in c(FALSE, TRUE))
    for (method in c("outcome_regression", "inverse_weighting", "doubly_robust")) {
      # Both comparisons, weights and strata for the doubly robust method; the others with their main options.
      if (method != "doubly_robust" && (comparison != "never_treated")) next
      rows <- list(); psi <- list(); member <- list(); event <- c()
      for (g in c(2013, 2014, 2015)) for (t in years) if (t != g - 1) {
        r <- cell(g, t, method, covariates, comparison, weighted, within)
        clustered <- sqrt(10 / 9 * sum(tapply(r$influence, wide$state, sum)^2))
        rows[[length(rows) + 1]] <- list(cohort = g, time = t, estimate = r$estimate, std_error_by_state = clustered,
          std_error_by_county = sqrt(n / (n - 1) * sum(r$influence^2)), n_counties = r$n, n_treated = r$n_treated)
        psi[[length(psi) + 1]] <- r$influence; member[[length(member) + 1]] <- r$member; event <- c(event, t - g)
      }
      # Simple average after adoption, weights estimated: derivative of the weighted mean by hand.
      post <- which(event >= 0); est <- sapply(rows, function(r) r$estimate)
      P <- sapply(post, function(j) sum(member[[j]])); average <- sum(est[post] * P) / sum(P)
      total <- Reduce(`+`, lapply(seq_along(post), function(i) {
        j <- post[i]; psi[[j]] * P[i] / sum(P) + (est[j] - average) * member[[j]] / sum(P) }))
      name <- paste(method, comparison, if (weighted) "weighted" else "unweighted",
                    if (covariates) "covariates" else "plain", if (within) "within" else "across", sep = ".")
      values[[name]] <- list(cells = rows, post = list(estimate = average,
                             std_error_by_state = sqrt(10 / 9 * sum(tapply(total, wide$state, sum)^2))))
    }
writeLines(toJSON(values, digits = I(17), auto_unbox = TRUE), "values.json")
writeLines(capture.output(sessionInfo()), "session.txt")
