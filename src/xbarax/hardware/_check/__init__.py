"""Whether a driver keeps the contract of `xbarax/driver.h`: the checks, and who runs them."""

from xbarax.hardware._check._result import CheckResult as CheckResult
from xbarax.hardware._check._supervisor import check as check
