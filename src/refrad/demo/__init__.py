"""The synthetic cohort: bodies, rendering, scanner and reporter. No stage imports it.

write_cohort(Path("demo"), patients=12, seed=1)  # refrad.demo.cohort
body = make_body(seed=1)  # refrad.demo.bodies
image, labels = render(body, affine, (128, 128, 40), "CT", native)  # refrad.demo.rendering
"""
