# Regressions of staggered adoption by lm and glm with dummies, errors by sandwich, on an invented unbalanced panel.
# Run in this folder: Rscript reference.R   (writes simulated_panel.csv, values.json, session.txt)
suppressMessages({library(sandwich); library(jsonlite)})
set.seed(41907)
prefix <- c("06", "08", "12", "17", "19", "27", "36", "37")
n <- 96; years <- 2010:2016
state <- rep(prefix, length.out = n)
county <- sprintf("%s%03d", state, 2 * seq_len(n) - 1)
cohort <- ifelse(runif(n) < 0.45, sample(c(2012, 2013, 2015), n, TRUE), NA)
cohort[state == "37"] <- NA                     # a state where nobody adopts
weight <- round(exp(rnorm(n, 10.5, 0.8)))
level <- rnorm(n, 30, 5)
d <- do.call(rbind, lapply(seq_len(n), function(i) {
  since <- if (is.na(cohort[i])) rep(-99, length(years)) else years - cohort[i]
  effect <- ifelse(since >= 0, -1 - 0.4 * since, 0)
  mean <- level[i] + 0.2 * (years - 2010) + effect + as.numeric(arima.sim(list(ar = 0.4), length(years)))
  population <- round(weight[i] * (1 + 0.01 * (years - 2010)))
  data.frame(county_fips = county[i], state = state[i], year = years, cohort = cohort[i], weight = weight[i],
             population = population, secure_communities = as.integer(years >= 2010 + (i %% 5)),
             outcome = round(mean, 6), count = rpois(length(years), population * pmax(mean, 1) / 1e5))
}))
d <- d[order(d$county_fips, d$year), ]
d <- d[-sample(nrow(d), 40), ]                   # unbalanced
write.csv(d, "simulated_panel.csv", row.names = FALSE, na = "")
d <- read.csv("simulated_panel.csv", colClasses = c(county_fips = "character", state = "character"))
d$since <- d$year - d$cohort
cells <- unique(d[!is.na(d$cohort), c("cohort", "year")])
cells <- cells[order(cells$cohort, cells$year), ]
values <- list()
keep <- function(name, model, columns, cluster, where) {
  # Sums of scores by cluster with no factor at all: the factors are stated in the test.
  v <- vcovCL(model, cluster = cluster, type = "HC0", cadjust = FALSE)
  values[[name]] <<- list(estimate = unname(coef(model)[columns]), std_error = unname(sqrt(diag(v))[columns]),
                          cohort = where$cohort, time = where$year, event_time = where$since, n = nobs(model),
                          coefficients = sum(!is.na(coef(model))))
}
fit <- function(name, chosen, weighted, controls) {
  x <- sapply(seq_len(nrow(chosen)), function(k)
    as.numeric(!is.na(d$cohort) & d$cohort == chosen$cohort[k] & d$year == chosen$year[k]))
  colnames(x) <- paste0("cell", seq_len(ncol(x)))
  f <- cbind(d, x)
  formula <- as.formula(paste("outcome ~", paste(c(colnames(x), controls, "factor(county_fips)", "factor(year)"),
                                                 collapse = " + ")))
  f$w <- if (weighted) f$weight else 1
  m <- lm(formula, f, weights = w)
  keep(name, m, colnames(x), f$state, chosen)
  f
}
for (weighted in c(FALSE, TRUE)) for (controls in list(NULL, "secure_communities")) {
  tag <- paste(if (weighted) "weighted" else "unweighted", if (is.null(controls)) "none" else "controls", sep = ".")
  fit(paste("interaction_weighted", tag, sep = "."), cells[cells$year != cells$cohort - 1, ], weighted, controls)
  after <- cells[cells$year >= cells$cohort, ]
  fit(paste("extended_two_way", tag, sep = "."), after, weighted, controls)
  # Imputation: the untreated alone, then the others' mean gap; its errors are checked elsewhere.
  treated <- !is.na(d$cohort) & d$year >= d$cohort
  d$w <- if (weighted) d$weight else 1
  m <- lm(as.formula(paste("outcome ~", paste(c(controls, "factor(county_fips)", "factor(year)"), collapse = " + "))),
          d[!treated, ], weights = w)
  seen <- d$county_fips %in% d$county_fips[!treated]
  gap <- rep(NA, nrow(d)); gap[seen] <- d$outcome[seen] - predict(m, d[seen, ])
  effect <- sapply(seq_len(nrow(after)), function(k) {
    here <- which(seen & !is.na(d$cohort) & d$cohort == after$cohort[k] & d$year == after$year[k])
    weighted.mean(gap[here], d$w[here])
  })
  values[[paste("imputation", tag, sep = ".")]] <- list(estimate = effect, cohort = after$cohort, time = after$year)
}
# Counts: one coefficient, and event times, with residents as exposure. Counties without an event fit themselves.
some <- d[ave(d$count, d$county_fips, FUN = sum) > 0, ]
some$treated <- as.numeric(!is.na(some$cohort) & some$year >= some$cohort)
exact <- glm.control(epsilon = 1e-14, maxit = 100)
m <- glm(count ~ treated + factor(county_fips) + factor(year) + offset(log(population)), poisson, some, control = exact)
keep("poisson.post", m, "treated", some$state, data.frame(cohort = NA, year = NA, since = NA))
times <- sort(unique(some$since[!is.na(some$since)])); times <- times[times != -1]
x <- sapply(times, function(t) as.numeric(!is.na(some$since) & some$since == t))
colnames(x) <- paste0("time", seq_along(times))
m <- glm(as.formula(paste("count ~", paste(c(colnames(x), "factor(county_fips)", "factor(year)"), collapse = " + "),
                          "+ offset(log(population))")), poisson, cbind(some, x), control = exact)
keep("poisson.event_time", m, colnames(x), some$state, data.frame(cohort = NA, year = NA, since = times))
writeLines(toJSON(values, digits = I(17), auto_unbox = TRUE, pretty = TRUE, na = "null"), "values.json")
writeLines(capture.output(sessionInfo()), "session.txt")
