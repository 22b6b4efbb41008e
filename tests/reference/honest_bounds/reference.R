# Confidence sets under relative magnitude by brute force: every basis of the dual of the moment inequalities, a grid of
# values, and the hybrid test of Andrews, Roth and Pakes (2023) as Rambachan and Roth (2023) use it. Base R alone.
# Run in this folder: Rscript reference.R   (writes values.json, session.txt)
#
# Two runs. "published": the event study of Benzarti and Carloni that comes with the R package HonestDiD, with that
# package's own draws (seed 0, 1,000 normal vectors of the moments) and its grid (1,000 points from -20 to 20 standard
# errors): the ends are to be those that package printed, stored beside them with its smoothness intervals. "fine": an
# three invented event studies, other targets, 200,000 draws, and ends found to 1e-6 on finer grids.
suppressMessages(library(jsonlite))
beta <- c(0.006696351804, 0.02934503369, -0.006472972222, 0.0730149895, 0.1959611177, 0.3120639026, 0.2395415455, 0.1260425001)
half <- c(0.0008428358124,
  0.0004768686777, 0.0006425420288,
  0.0002618051076, 0.0003987425007, 0.0005229949602,
  0.0002354220342, 0.0002435515198, 0.000211768609, 0.0003089595411,
  0.0001676371467, 0.0002201960306, 0.0001840722252, 0.0001197866077, 0.000359970436,
  0.0001128707663, 0.0001804591157, 0.000145852784, 0.0001334081317, 0.0002478818642, 0.0004263949813,
  1.992816215e-05, 3.84376508e-05, 7.005197403e-05, 0.0001016335009, 0.0001749579242, 0.0002171437809, 0.0004886697861,
  -0.0001368265366, -2.960421989e-05, 5.952994979e-05, 0.0001079051726, 0.0001654256921, 0.0002892747871, 0.0003805322049, 0.000761739444)
vcov <- matrix(0, 8, 8); vcov[upper.tri(vcov, TRUE)] <- half
vcov <- vcov + t(vcov) - diag(diag(vcov))

rows_of <- function(p, q, mbar, s, sign) {       # inequalities on later moves, reference left out
  step <- matrix(0, p + q, p + q + 1)
  for (j in 1:(p + q)) step[j, j:(j + 1)] <- c(-1, 1)
  top <- matrix(sign * step[s, ], q, p + q + 1, byrow = TRUE)
  rbind(step[p + 1:q, ] - mbar * top, -step[p + 1:q, ] - mbar * top)[, -(p + 1)]
}
vertices_of <- function(x, size) {               # every feasible basis of: weights >= 0, x'w = 0, size'w = 1
  k <- ncol(x) + 1; out <- NULL
  w <- cbind(size, x)
  for (basis in combn(nrow(x), k, simplify = FALSE)) {
    m <- t(w[basis, , drop = FALSE])
    if (abs(det(m)) < 1e-12 * max(abs(m))^k) next
    g <- solve(m, c(1, rep(0, k - 1)))
    if (all(g > -1e-10)) { full <- rep(0, nrow(x)); full[basis] <- pmax(g, 0); out <- rbind(out, full) }
  }
  out[!duplicated(round(out, 9)), , drop = FALSE]
}
root <- function(v) { e <- eigen(v, symmetric = TRUE); e$vectors %*% (t(e$vectors) * sqrt(pmax(e$values, 0))) }
# Probability above x of a standard normal between a and b, from the tail that keeps its digits.
above <- function(x, a, b) {
  u <- pnorm(x, lower.tail = FALSE, log.p = TRUE); d <- pnorm(a, lower.tail = FALSE, log.p = TRUE)
  e <- pnorm(b, lower.tail = FALSE, log.p = TRUE)
  exp(u - d) * -expm1(pmin(e - u, 0)) / -expm1(pmin(e - d, 0))
}
accepted <- function(b, v, p, target, mbar, grid, draws, alpha = 0.05) {
  q <- length(target); keep <- rep(FALSE, length(grid)); criticals <- NULL
  others <- qr.Q(qr(cbind(target, diag(q))), complete = TRUE)[, -1, drop = FALSE]   # effects that leave the mean alone
  through <- target / sum(target^2)
  for (s in 1:p) for (sign in c(1, -1)) {
    a <- rows_of(p, q, mbar, s, sign)
    va <- a %*% v %*% t(a)
    later <- a[, p + 1:q]
    g <- vertices_of(later %*% others, sqrt(diag(va)))
    set.seed(0)
    xi <- matrix(rnorm(draws * 2 * q), draws, byrow = TRUE) %*% root(va)
    critical <- quantile(do.call(pmax, as.data.frame(xi %*% t(g))), 1 - alpha / 10, names = FALSE)
    criticals <- c(criticals, critical)
    vg <- g %*% va %*% t(g)
    value <- as.vector(g %*% (a %*% b)) - outer(as.vector(g %*% later %*% through), grid)
    size <- (alpha - alpha / 10) / (1 - alpha / 10)
    for (i in seq_along(grid)[!keep]) {
      y <- value[, i]; t <- which.max(y); eta <- y[t]
      if (eta > critical) next
      slope <- vg[, t] / vg[t, t]
      edge <- (y - slope * eta) / (1 - slope)
      low <- max(-Inf, edge[slope < 1 - 1e-10]); high <- min(Inf, edge[slope > 1 + 1e-10], critical)
      e <- sqrt(vg[t, t])
      keep[i] <- !(eta > 0 && above(eta / e, min(low, eta) / e, high / e) < size)
    }
  }
  list(keep = keep, criticals = criticals)
}
ends <- function(grid, keep) c(grid[which(keep)[1]], grid[tail(which(keep), 1)])

values <- list(beta = beta, vcov = vcov, leads = 4, published = list(
  relative_magnitude = list(bound = c(0.5, 1, 1.5, 2),
    low = c(0.11812948578177346, 0.06723125075039843, 0.013294315120135292, -0.042161970809571847),
    high = c(0.27158386602562062, 0.31868372530838568, 0.36958196033976071, 0.3794577372861469)),
  smoothness = list(bound = c(0, 0.01, 0.02, 0.03, 0.1, 0.2),
    low = c(0.13141131596381356, 0.1549652670807741, 0.17730108790014376, 0.18940446443439926, 0.1194440001, 0.01944400015),
    high = c(0.216169648209591, 0.2703845303265206, 0.31595646819476952, 0.34854775003919292, 0.4185082143, 0.5185082143))))
se <- sqrt(vcov[5, 5]); grid <- seq(-20 * se, 20 * se, length.out = 1000)
again <- lapply(values$published$relative_magnitude$bound, function(m) {
  found <- accepted(beta, vcov, 4, c(1, 0, 0, 0), m, grid, 1000)
  e <- ends(grid, found$keep)
  list(bound = m, low = e[1], high = e[2], criticals = found$criticals)
})
values$again <- list(grid_step = grid[2] - grid[1], rows = again)

set.seed(11)
made <- list(list(leads = 3, target = c(0.2, 0.3, 0.5)), list(leads = 2, target = rep(0.25, 4)), list(leads = 5, target = c(0, 1)))
values$fine <- lapply(made, function(one) {
  p <- one$leads; q <- length(one$target); k <- p + q
  m <- matrix(rnorm(k * k), k) / 12 + diag(k) / 8
  v <- m %*% t(m) / 4; b <- c(rnorm(p, 0, 0.05), rnorm(q, 0.4, 0.1))
  rows <- lapply(c(0.5, 1, 2), function(mbar) {
    wide <- seq(-6, 6, length.out = 1201); step <- wide[2] - wide[1]
    first <- ends(wide, accepted(b, v, p, one$target, mbar, wide, 200000)$keep)
    for (digit in 1:2) {
      g1 <- seq(first[1] - step, first[1], length.out = 101); g2 <- seq(first[2], first[2] + step, length.out = 101)
      both <- accepted(b, v, p, one$target, mbar, c(g1, g2), 200000)
      first <- c(g1[which(both$keep[1:101])[1]], g2[tail(which(both$keep[102:202]), 1)]); step <- step / 100
    }
    list(bound = mbar, low = first[1], high = first[2], criticals = both$criticals)
  })
  list(leads = p, target = one$target, beta = b, vcov = v, rows = rows)
})
writeLines(toJSON(values, digits = 16, auto_unbox = TRUE, pretty = FALSE), "values.json")
writeLines(capture.output(sessionInfo()), "session.txt")
