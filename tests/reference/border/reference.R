# Border pairs by lm with dummies, errors by sandwich and estimatr, on an invented unbalanced panel of a gridded country.
# Run in this folder: Rscript reference.R   (writes simulated_panel.csv, neighbours.csv, values.json, session.txt)
suppressMessages({library(sandwich); library(estimatr); library(jsonlite)})
set.seed(52013)
wide <- 12; tall <- 6; years <- 2010:2016
at <- expand.grid(x = seq_len(wide), y = seq_len(tall))
prefix <- c("06", "08", "12", "17", "19", "27")
at$state <- prefix[((at$x - 1) %/% 4) + 3 * ((at$y - 1) %/% 3) + 1]          # blocks of four by three counties
at$county <- sprintf("%s%03d", at$state, 2 * seq_len(nrow(at)) - 1)
touch <- which(as.matrix(dist(at[, c("x", "y")])) < 1.1 & row(diag(nrow(at))) != col(diag(nrow(at))), arr.ind = TRUE)
neighbours <- data.frame(county_fips = at$county[touch[, 1]], neighbour_fips = at$county[touch[, 2]])
neighbours <- neighbours[order(neighbours$county_fips, neighbours$neighbour_fips), ]
write.csv(neighbours, "neighbours.csv", row.names = FALSE)
n <- nrow(at)
cohort <- ifelse(runif(n) < 0.3, sample(c(2012, 2013, 2015), n, TRUE), NA)
cohort[at$state == "27"] <- NA                                               # a state where nobody adopts
weight <- round(exp(rnorm(n, 10.5, 0.8)))
level <- rnorm(n, 30, 5)
shock <- matrix(rnorm(6 * length(years)), 6)
d <- do.call(rbind, lapply(seq_len(n), function(i) {
  since <- if (is.na(cohort[i])) rep(-99, length(years)) else years - cohort[i]
  mean <- level[i] + shock[match(at$state[i], prefix), ] + ifelse(since >= 0, -1 - 0.4 * since, 0)
  data.frame(county_fips = at$county[i], year = years, cohort = cohort[i], weight = weight[i],
             secure_communities = as.integer(years >= 2010 + (i %% 5)),
             outcome = round(mean + as.numeric(arima.sim(list(ar = 0.4), length(years))), 6))
}))
d <- d[-sample(nrow(d), 40), ]                                               # unbalanced
write.csv(d, "simulated_panel.csv", row.names = FALSE, na = "")
d <- read.csv("simulated_panel.csv", colClasses = c(county_fips = "character"))
d$since <- d$year - d$cohort
state_of <- function(county) substr(county, 1, 2)
cohort_of <- sapply(split(d$cohort, d$county_fips), `[`, 1)

# One row a pair (or segment), county and year, by the slow road.
stack <- function(effects, comparison, which) {
  rows <- NULL
  for (i in seq_len(nrow(neighbours))) {
    a <- neighbours$county_fips[i]; b <- neighbours$neighbour_fips[i]
    same <- state_of(a) == state_of(b)
    if (is.na(cohort_of[a]) || (which == "same_state" && !same) || (which == "other_state" && same)) next
    if (!is.na(cohort_of[b]) && (comparison == "never_treated" || cohort_of[b] <= cohort_of[a])) next
    left <- d[d$county_fips == a, ]; right <- d[d$county_fips == b, ]
    if (!is.na(cohort_of[b])) right <- right[right$since < 0, ]
    both <- intersect(left$year, right$year)
    since <- left$since[left$year %in% both]
    if (!any(since < 0) || !any(since >= 0)) next                              # seen together before and after
    segment <- paste(a, state_of(b))
    group <- if (effects == "pair") paste(a, b) else segment
    for (side in list(left, right)) {
      side <- side[side$year %in% both, ]
      side$own <- side$county_fips == a; side$segment <- segment; side$group <- group
      rows <- rbind(rows, side)
    }
  }
  rows <- unique(rows)                                                       # an adopter stands in a segment once a year
  rows$member <- paste(rows$group, rows$county_fips); rows$level <- paste(rows$group, rows$year)
  seen <- table(unique(rows[, c("group", "county_fips")])$county_fips)
  rows$often <- as.numeric(seen[rows$county_fips])
  rows$state <- state_of(rows$county_fips)
  rows
}
values <- list()
run <- function(effects, comparison, which, method, weighted, controls) {
  rows <- stack(effects, comparison, which)
  rows$w <- (if (weighted) rows$weight else 1) / rows$often
  times <- sort(unique(rows$since[rows$own])); times <- times[times != -1]
  x <- if (method == "post") cbind(treated = as.numeric(rows$own & rows$since >= 0)) else
    sapply(times, function(t) as.numeric(rows$own & rows$since == t))
  colnames(x) <- paste0("x", seq_len(ncol(x)))
  rows <- cbind(rows, x)
  formula <- as.formula(paste("outcome ~", paste(c(colnames(x), controls, "factor(member)", "factor(level)"),
                                                 collapse = " + ")))
  m <- lm(formula, rows, weights = w)
  # Sums of scores by cluster, times G / (G - 1) of each kind of cluster and no other factor.
  error <- function(cluster) unname(sqrt(diag(vcovCL(m, cluster = cluster, type = "HC0", cadjust = TRUE))[colnames(x)]))
  crossing <- tapply(rows$state, rows$group, function(s) length(unique(s)) > 1)
  name <- paste(effects, comparison, which, method, if (weighted) "weighted" else "unweighted",
                if (is.null(controls)) "none" else "controls", sep = ".")
  values[[name]] <<- list(
    estimate = unname(coef(m)[colnames(x)]),
    state = error(rows["state"]), segment = error(rows["segment"]), both = error(rows[c("state", "segment")]),
    n = nrow(rows), crossing_levels = length(unique(rows$level[crossing[rows$group]])),
    segments = length(unique(rows$segment)), states = length(unique(rows$state)), pairs = length(unique(
      paste(rows$group, rows$county_fips)[!rows$own])), regressors = ncol(x) + length(controls))
  if (method == "event_time") values[[name]]$event_time <<- times
  if (method == "post") {
    peer <- lm_robust(as.formula(paste("outcome ~", paste(c(colnames(x), controls), collapse = " + "))), rows,
                      weights = w, fixed_effects = ~ member + level, clusters = state, se_type = "CR0")
    values[[name]]$estimatr <<- list(estimate = unname(coef(peer)[1]), state_without_factor = unname(peer$std.error[1]))
  }
}
run("pair", "never_treated", "all", "post", FALSE, NULL)
run("pair", "not_yet_treated", "all", "post", TRUE, "secure_communities")
run("pair", "not_yet_treated", "other_state", "post", FALSE, NULL)
run("segment", "not_yet_treated", "all", "post", TRUE, NULL)
run("segment", "never_treated", "same_state", "post", FALSE, "secure_communities")
run("pair", "not_yet_treated", "all", "event_time", FALSE, NULL)
run("segment", "not_yet_treated", "all", "event_time", TRUE, "secure_communities")
writeLines(toJSON(values, digits = I(17), auto_unbox = TRUE, pretty = TRUE, na = "null"), "values.json")
writeLines(capture.output(sessionInfo()), "session.txt")
