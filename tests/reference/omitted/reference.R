# What a confounder does to a regression, from lm with the confounder in it, on invented data.
# Run in this folder: Rscript reference.R   (writes data.csv, values.json, session.txt)
suppressMessages(library(jsonlite))
set.seed(5150)
n <- 240; area <- rep(sprintf("a%02d", 1:12), each = 20)
x1 <- rnorm(n); x2 <- 0.4 * x1 + rnorm(n); x3 <- rnorm(n)
u <- rnorm(n); w <- round(exp(rnorm(n, 1, 0.5)), 3)
d <- round(0.5 * x1 - 0.3 * x2 + 0.4 * u + rnorm(12)[as.integer(factor(area))] + rnorm(n), 6)
y <- round(0.6 * d + 0.8 * x1 + 0.2 * x3 + 0.7 * u + rnorm(12)[as.integer(factor(area))] + rnorm(n), 6)
data <- data.frame(area, y, d, x1 = round(x1, 6), x2 = round(x2, 6), x3 = round(x3, 6), u = round(u, 6), w)
write.csv(data, "data.csv", row.names = FALSE)
data <- read.csv("data.csv")
rss <- function(m) sum(weights_of(m) * residuals(m)^2)
weights_of <- function(m) if (is.null(m$weights)) rep(1, length(residuals(m))) else m$weights
share <- function(wide, narrow) 1 - rss(wide) / rss(narrow)
one <- function(weighted) {
  fit <- function(f) if (weighted) lm(f, data, weights = w) else lm(f, data)
  m <- fit(y ~ d + x1 + x2 + x3 + area); s <- summary(m)$coefficients["d", ]
  with_u <- fit(y ~ d + x1 + x2 + x3 + u + area); su <- summary(with_u)$coefficients["d", ]
  list(
    estimate = unname(s[1]), std_error = unname(s[2]), df = m$df.residual,
    r2dz = share(fit(d ~ x1 + x2 + x3 + u + area), fit(d ~ x1 + x2 + x3 + area)),
    r2yz = share(with_u, m), adjusted_estimate = unname(su[1]), adjusted_error = unname(su[2]),
    r2d_group = share(fit(d ~ x1 + x2 + x3 + area), fit(d ~ x3 + area)),
    r2y_group = share(m, fit(y ~ d + x3 + area)),
    short = unname(coef(fit(y ~ d + area))["d"]),
    short_r2 = share(fit(y ~ d + area), fit(y ~ area)), long_r2 = share(m, fit(y ~ area)),
    of_y = rss(fit(y ~ area)) / sum(weights_of(m)), of_d = rss(fit(d ~ area)) / sum(weights_of(m)),
    left = rss(fit(d ~ x1 + x2 + x3 + area)) / sum(weights_of(m)))
}
values <- list(plain = one(FALSE), weighted = one(TRUE))
# Oster's system solved for delta and for beta, without her closed forms: with one covariate, the vectors of the long
# regression's moments fix the omitted index for every beta, and delta is the ratio of the two slopes.
mt <- lm(mpg ~ wt, mtcars); ml <- lm(mpg ~ wt + hp, mtcars)
v <- function(z) mean((z - mean(z))^2)
system <- function(beta, r_max) {
  bias <- unname(coef(ml)["wt"]) - beta
  aux <- lm(wt ~ hp, mtcars); tau <- v(residuals(aux)); of_x <- v(mtcars$wt)
  # Covariances: omitted with x is the bias times what of x is left; the true index is the estimated plus its share.
  omitted_x <- bias * tau
  index <- unname(coef(ml)["hp"]) + bias * unname(coef(aux)["hp"])
  index_x <- index * mean((mtcars$hp - mean(mtcars$hp)) * (mtcars$wt - mean(mtcars$wt)))
  index_v <- index^2 * v(mtcars$hp)
  total <- r_max * v(mtcars$mpg)   # variance of the outcome that x, index and omitted explain
  omitted_v <- total - (beta^2 * of_x + index_v + 2 * beta * index_x + 2 * beta * omitted_x)
  (omitted_x / omitted_v) / (index_x / index_v)
}
values$mtcars <- list(
  short = unname(coef(mt)["wt"]), short_r2 = summary(mt)$r.squared, long = unname(coef(ml)["wt"]),
  long_r2 = summary(ml)$r.squared, of_y = v(mtcars$mpg), of_d = v(mtcars$wt), left = v(residuals(lm(wt ~ hp, mtcars))),
  r_max = 0.9, delta_zero = system(0, 0.9), delta_two = system(-2, 0.9),
  beta_one = uniroot(function(b) system(b, 0.9) - 1, c(-3.8, 3), tol = 1e-14)$root)
write(toJSON(values, auto_unbox = TRUE, digits = 15, pretty = TRUE), "values.json")
writeLines(capture.output(sessionInfo()), "session.txt")
