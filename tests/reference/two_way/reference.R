# Two-way fixed effects in plm, sandwich and estimatr, on an invented staggered panel.
# Run in this folder: Rscript reference.R   (writes simulated_panel.csv, values.json, session.txt)
suppressMessages({library(plm); library(sandwich); library(estimatr); library(jsonlite)})
set.seed(90210)
prefix <- c("06", "08", "12", "17", "19", "27", "36", "37", "41", "48", "53", "55")
n <- 216; years <- 2010:2017
state <- rep(prefix, length.out = n)
county <- sprintf("%s%03d", state, 2 * seq_len(n) - 1)
cohort <- ifelse(runif(n) < 0.35, sample(c(2013, 2014, 2015), n, TRUE), NA)
cohort[state %in% c("12", "37")] <- NA          # states where nobody adopts
weight <- round(exp(rnorm(n, 11)))
level <- rnorm(n, 30, 6); region <- matrix(rnorm(12 * 8), 12)
d <- do.call(rbind, lapply(seq_len(n), function(i) {
  treated <- !is.na(cohort[i]) & years >= cohort[i]
  noise <- as.numeric(arima.sim(list(ar = 0.4), 8))
  activation <- 2010 + (i %% 5)
  data.frame(county_fips = county[i], state = state[i], year = years, cohort = cohort[i],
             treated = as.integer(treated), secure_communities = as.integer(years >= activation),
             weight = weight[i],
             outcome = round(level[i] - 0.4 * (years - 2010) + region[match(state[i], prefix), ] +
                             0.5 * (years >= activation) - 1.2 * treated + noise, 6))
}))
d <- d[order(d$county_fips, d$year), ]
gap <- sample(nrow(d), 60); d <- d[-gap, ]       # unbalanced
write.csv(d, "simulated_panel.csv", row.names = FALSE, na = "")
d <- read.csv("simulated_panel.csv", colClasses = c(county_fips = "character", state = "character"))
d$state_year <- paste(d$state, d$year)
values <- list()
one <- function(name, formula, cluster, effects, weighted = FALSE) {
  # Dummies, so that nothing depends on how an effect is swept out; HC0-type cluster sums times stated factors.
  m <- if (weighted) lm(formula, d, weights = weight) else lm(formula, d)
  v <- vcovCL(m, cluster = d[[cluster]], type = "HC0", cadjust = FALSE)
  values[[name]] <<- list(estimate = unname(coef(m)["treated"]), std_error_no_factor = sqrt(v["treated", "treated"]),
    n = nobs(m), clusters = length(unique(d[[cluster]])), rank = m$rank)
}
one("county_year", outcome ~ treated + county_fips + factor(year), "state")
one("county_year_by_county", outcome ~ treated + county_fips + factor(year), "county_fips")
one("county_year_weighted", outcome ~ treated + county_fips + factor(year), "state", weighted = TRUE)
one("county_year_control", outcome ~ treated + secure_communities + county_fips + factor(year), "state")
one("state_by_year", outcome ~ treated + county_fips + state_year, "state")
one("state_by_year_weighted_control", outcome ~ treated + secure_communities + county_fips + state_year, "state",
    weighted = TRUE)
r <- lm_robust(outcome ~ treated + factor(year), d, fixed_effects = ~county_fips, clusters = state, se_type = "stata")
values$estimatr <- list(estimate = unname(coef(r)["treated"]), std_error = unname(r$std.error["treated"]))
p <- plm(outcome ~ treated, d, index = c("county_fips", "year"), effect = "twoways", model = "within")
values$plm <- list(estimate = unname(coef(p)["treated"]),
                   std_error_by_county_no_factor = sqrt(vcovHC(p, type = "HC0", cluster = "group")[1, 1]))
writeLines(toJSON(values, digits = I(17), auto_unbox = TRUE, pretty = TRUE), "values.json")
writeLines(capture.output(sessionInfo()), "session.txt")
